"""A signing service as one would write it with FastAPI and SQLite: the token, the signature, a durable row, the answer.

uvicorn with its fast parts (uvloop, httptools); the row is hashed into a chain and committed before the answer.
Arguments: the token, the database, NORMAL or FULL. Writes its address as a line.
"""
import base64
import hashlib
import hmac
import json
import socket
import sqlite3
import sys
from datetime import datetime, timedelta, timezone
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel

TOKEN, DATABASE, SYNCHRONOUS = sys.argv[1:]
TOKENS = {hashlib.sha256(TOKEN.encode()).hexdigest(): "bob"}
SECRETS = {"main": ("5a95c46d-821d-4641-acce-5250b0ce64bc", b"557FBBAFC3FC3D265C5D066FE442DFA0", "Correct-Horse-1")}


class Ask(BaseModel):
    credential: str
    method: str
    path: str
    body: str = ""


class Answer(BaseModel):
    url: str
    method: str
    headers: dict[str, str]
    body: str
    audit_seq: int
    expires_at: str


def stamp(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


class Ledger:
    def __init__(self):
        self.database = sqlite3.connect(DATABASE, isolation_level=None)
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute(f"PRAGMA synchronous = {SYNCHRONOUS}")
        self.database.execute("CREATE TABLE IF NOT EXISTS audit (seq INTEGER PRIMARY KEY, head BLOB NOT NULL, body TEXT NOT NULL)")
        self.sequence, self.head = 0, bytes(32)

    def append(self, row):
        body = json.dumps(row)
        self.sequence, self.head = self.sequence + 1, hashlib.sha256(self.head + body.encode()).digest()
        self.database.execute("INSERT INTO audit VALUES (?, ?, ?)", (self.sequence, self.head, body))
        return self.sequence


app, ledger = FastAPI(), Ledger()


@app.post("/v1/sign")
async def sign(ask: Ask, authorization: Annotated[str, Header()]) -> Answer:
    bot = TOKENS.get(hashlib.sha256(authorization.removeprefix("Bearer ").encode()).hexdigest())
    if bot is None:
        raise HTTPException(401)
    key, secret, passphrase = SECRETS[ask.credential]
    now = datetime.now(timezone.utc)
    time = stamp(now)
    body_sha256 = hashlib.sha256(ask.body.encode()).hexdigest()
    sequence = ledger.append({
        "time": time, "event": "sign", "decision": "allow", "bot": bot, "credential": ask.credential, "method": ask.method,
        "path": ask.path, "body_sha256": body_sha256})
    signature = base64.b64encode(hmac.digest(secret, (time + ask.method + ask.path + ask.body).encode(), "sha256")).decode()
    headers = {"OK-ACCESS-KEY": key, "OK-ACCESS-SIGN": signature, "OK-ACCESS-TIMESTAMP": time,
               "OK-ACCESS-PASSPHRASE": passphrase, "Content-Type": "application/json"}
    return Answer(url="https://www.okx.com" + ask.path, method=ask.method, headers=headers, body=ask.body, audit_seq=sequence,
                  expires_at=stamp(now + timedelta(seconds=30)))


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    print("127.0.0.1:%d" % listener.getsockname()[1], flush=True)
    config = uvicorn.Config(app, loop="uvloop", http="httptools", log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])
