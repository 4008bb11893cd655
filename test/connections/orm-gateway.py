"""A gateway on SQLAlchemy, as an ORM uses a table: writes and reads audit_logs on a pool of connections until its standard input ends; then says what came of it."""
import json
import sys
import threading
import time

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, Table, Text, create_engine, func, inspect, text
from sqlalchemy.orm import declarative_base, sessionmaker

engine = create_engine(sys.argv[1], pool_size=3)
Base = declarative_base()


class AuditLog(Base):
    __tablename__ = "audit_logs"
    id = Column(BigInteger, primary_key=True)
    tool_name = Column(Text, nullable=False)
    user = Column(Text, nullable=False)
    action = Column(Text, nullable=False)
    status = Column(Text, nullable=False)
    execution_time = Column(Integer)
    timestamp = Column(DateTime, server_default=func.now())


Session = sessionmaker(engine)
ids, errors, reads, partitions, ended = [], [], [0], [0], threading.Event()


def repeatedly(work):
    while not ended.is_set():
        try:
            with Session() as session:
                work(session)
        except Exception as error:  # whatever it is, the gateway has noticed
            errors.append(f"{type(error).__name__}: {error}")
        time.sleep(0.01)


def write(session):
    row = AuditLog(tool_name="tool", user="orm@example.org", action="invoke", status="success")
    session.add(row)
    session.commit()
    # Read again after the commit, by its key.
    ids.append(row.id)
    assert row.tool_name == "tool"


def change(session):
    if not ids:
        return
    row = session.get(AuditLog, ids[-1])
    row.execution_time = 5
    session.commit()


def read(session):
    session.query(AuditLog).order_by(AuditLog.timestamp.desc()).limit(20).all()
    session.execute(text("SELECT count(*) FROM recent_audit_activity")).scalar()
    # As tools do that look for tables.
    tables = inspect(engine).get_table_names()
    partitions[0] = max(partitions[0], sum(name.startswith("audit_logs_") for name in tables))
    reads[0] += 1


threads = [threading.Thread(target=repeatedly, args=(work,)) for work in (write, change, read)]
for thread in threads:
    thread.start()
print("ready", flush=True)
sys.stdin.read()
ended.set()
for thread in threads:
    thread.join()
# As tools do that look at the schema.
reflected = Table("audit_logs", MetaData(), autoload_with=engine)
print(json.dumps({"ids": ids, "errors": errors, "reads": reads[0], "partitions": partitions[0], "columns": [column.name for column in reflected.columns]}))
