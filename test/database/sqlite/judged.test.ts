import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import BetterSqlite3 from 'better-sqlite3'
import type { Database } from '../../../src/database/database.ts'
import { DIGEST_BYTES, type ExportedSlice } from '../../../src/database/exporting.ts'
import type { Transaction } from '../../../src/database/query.ts'
import { freshSqliteFile } from '../../support/databases.ts'
import { beside, NOON, opened, slicesOf } from './opening.ts'

const SESSIONS = { table: 'sessions', column: 'expires_at' }
/** So little later that no bound of a statement tells it from what has expired. */
const LATER = "'2026-11-23 12:00:01'"
const RENEWS = `UPDATE sessions SET expires_at = ${LATER}`

/** Both ways through: rows that nobody keeps, and rows whose digests the archive compares. */
const WAYS: Readonly<Record<string, (slice: ExportedSlice, tx: Transaction) => Promise<number>>> = {
  'on the way without an archive': async (slice, tx) => (await slice.remove(tx, [])).affected,
  "on the archive's way": async (slice, tx) => {
    const { affected, digests } = await slice.removeRead(tx, [], () => () => true)
    assert.equal(digests.length, affected * DIGEST_BYTES)
    return affected
  },
}

for (const [way, removeIn] of Object.entries(WAYS)) {
  const remove = (database: Database, slice: ExportedSlice): Promise<number> => database.transaction((tx) => removeIn(slice, tx))
  describe(`a row is judged as it is when it goes, ${way}:`, () => {
    const renewals: readonly (readonly [name: string, sql: string, stays: readonly number[]])[] = [
      [
        'a trigger behind the delete of one row renews another of the batch',
        `CREATE TRIGGER t AFTER DELETE ON sessions WHEN OLD.id = 1 BEGIN ${RENEWS} WHERE id IN (2, 4); END`,
        [2, 4],
      ],
      [
        'a trigger before it renews another',
        `CREATE TRIGGER t BEFORE DELETE ON sessions WHEN OLD.id = 1 BEGIN ${RENEWS} WHERE id = 3; END`,
        [3],
      ],
      [
        'a trigger gives the number of one that has gone to a new one',
        `CREATE TRIGGER t AFTER DELETE ON sessions WHEN OLD.id = 2 BEGIN INSERT INTO sessions VALUES (1, ${LATER}, 'new'); END`,
        [1],
      ],
      [
        'a trigger puts another row in the place of one',
        `CREATE TRIGGER t AFTER DELETE ON sessions WHEN OLD.id = 1 BEGIN
           DELETE FROM sessions WHERE id = 5; INSERT INTO sessions VALUES (5, ${LATER}, 'new'); END`,
        [5],
      ],
      [
        'a trigger of a table that refers to it renews one',
        `CREATE TABLE notes (session INTEGER REFERENCES sessions ON DELETE CASCADE); INSERT INTO notes VALUES (1);
         CREATE TRIGGER t AFTER DELETE ON notes BEGIN ${RENEWS} WHERE id = 4; END`,
        [4],
      ],
      [
        'a view that a trigger writes through renews one',
        `CREATE VIEW renewals AS SELECT id FROM sessions;
         CREATE TRIGGER through INSTEAD OF INSERT ON renewals BEGIN ${RENEWS} WHERE id = NEW.id; END;
         CREATE TRIGGER t AFTER DELETE ON sessions WHEN OLD.id = 2 BEGIN INSERT INTO renewals VALUES (5); END`,
        [5],
      ],
    ]
    for (const [name, sql, stays] of renewals) {
      it(name, async () => {
        await using sessions = await fiveSessions(sql)
        const { database } = sessions
        const [slice] = await read(database, 100)
        assert.equal(await remove(database, slice!), 5 - stays.filter((id) => id !== 1).length)
        assert.deepEqual(await ids(database), stays)
      })
    }

    it('a row that a trigger on one of our tables renews in the deleting transaction stays', async () => {
      await using sessions = await fiveSessions(
        `CREATE TABLE maintenance_leases (n INTEGER); INSERT INTO maintenance_leases VALUES (1);
         CREATE TRIGGER t AFTER UPDATE ON maintenance_leases BEGIN ${RENEWS} WHERE id = 3; END`,
      )
      const { database } = sessions
      const [slice] = await read(database, 100)
      await database.transaction((tx) => tx.query('UPDATE maintenance_leases SET n = n + 1'))
      assert.equal(await remove(database, slice!), 4)
      assert.deepEqual(await ids(database), [3])
    })

    it('a row that is renewed by a trigger created after the rows were chosen stays', async () => {
      await using sessions = await fiveSessions()
      const { database, gateway } = sessions
      const [slice] = await read(database, 100)
      gateway.exec(`CREATE TRIGGER t AFTER DELETE ON sessions WHEN OLD.id = 1 BEGIN ${RENEWS} WHERE id = 2; END`)
      assert.equal(await remove(database, slice!), 4)
      assert.deepEqual(await ids(database), [2])
    })

    it('a row that is renewed between a batch that was rolled back and the next attempt stays', async () => {
      await using sessions = await fiveSessions()
      const { database, gateway } = sessions
      const [slice] = await read(database, 100)
      const rolledBack = database.transaction(async (tx) => {
        await removeIn(slice!, tx)
        throw new Error('the lease is gone')
      })
      await assert.rejects(rolledBack, /the lease is gone/)
      gateway.exec(`${RENEWS} WHERE id = 2`)
      assert.equal(await remove(database, slice!), 4)
      assert.deepEqual(await ids(database), [2])
    })

    it('a row that another connection renews through an attached file stays, even if the log is checkpointed and restarted', async () => {
      await using sessions = await fiveSessions()
      const { database, gateway, file } = sessions
      assert.equal(gateway.pragma('journal_mode = WAL', { simple: true }), 'wal')
      const [slice] = await read(database, 100)
      using other = new Closing(':memory:')
      other.prepare('ATTACH ? AS gateway').run(file)
      other.exec(`UPDATE gateway.sessions SET expires_at = ${LATER} WHERE id = 2`)
      gateway.pragma('wal_checkpoint(TRUNCATE)')
      assert.equal(await remove(database, slice!), 4)
      assert.deepEqual(await ids(database), [2])
    })

    it('a checkpoint alone changes nothing', async () => {
      await using sessions = await fiveSessions()
      const { database, gateway } = sessions
      gateway.pragma('journal_mode = WAL')
      const [slice] = await read(database, 100)
      gateway.pragma('wal_checkpoint(TRUNCATE)')
      assert.equal(await remove(database, slice!), 5)
    })

    it('a new column with the name of the row number ends the purge of the table', async () => {
      await using sessions = await fiveSessions()
      const { database, gateway } = sessions
      const [slice] = await read(database, 100)
      gateway.exec(`CREATE TABLE rebuilt (id INTEGER PRIMARY KEY, expires_at TIMESTAMP, rowid INTEGER);
        INSERT INTO rebuilt SELECT id, expires_at, 6 - id FROM sessions; DROP TABLE sessions; ALTER TABLE rebuilt RENAME TO sessions;
        CREATE INDEX idx_sessions_expires ON sessions (expires_at)`)
      await assert.rejects(remove(database, slice!), {
        kind: 'failed',
        message: /sessions was altered by another program during the purge/,
      })
      assert.deepEqual(await ids(database), [1, 2, 3, 4, 5])
    })

    it('a trigger that inserts a deleted row again is reported', async () => {
      await using sessions = await fiveSessions(
        `CREATE TRIGGER t AFTER DELETE ON sessions WHEN OLD.id = 4 BEGIN INSERT INTO sessions VALUES (4, OLD.expires_at, ''); END`,
      )
      const { database } = sessions
      const [slice] = await read(database, 100)
      await assert.rejects(remove(database, slice!), {
        kind: 'row-refused',
        message: /1 expired row of sessions remained .* inserts the rows again/,
      })
      assert.deepEqual(await ids(database), [1, 2, 3, 4, 5])
    })
  })
}

describe('an index that says something else than its table', () => {
  it('an index that disagrees with its table never deletes a row that must stay', async () => {
    await using fresh = await freshSqliteFile()
    {
      using gateway = new Closing(fresh.file)
      gateway.exec(`CREATE TABLE sessions (id INTEGER PRIMARY KEY, expires_at TIMESTAMP, note TEXT);
        CREATE INDEX idx_sessions_expires ON sessions (expires_at);
        INSERT INTO sessions VALUES (1, '2026-01-01', ''), (2, '2026-01-01', ''), (3, 1767225600, '')`)
    }
    // As after a page of the table was restored, or written by a program that did not know the index.
    const index: unknown[] = []
    withSchemaOpen(fresh.file, (gateway) => {
      index.push(...gateway.prepare<[], unknown[]>("SELECT * FROM sqlite_schema WHERE type = 'index'").raw().get()!)
      gateway.exec("DELETE FROM sqlite_schema WHERE type = 'index'")
    })
    {
      using gateway = new Closing(fresh.file)
      gateway.exec("UPDATE sessions SET expires_at = '2027-01-01' WHERE id = 2; UPDATE sessions SET expires_at = 4000000000 WHERE id = 3")
    }
    withSchemaOpen(fresh.file, (gateway) => gateway.prepare('INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)').run(...index))
    await using open = await opened(fresh.file)
    const { database } = open
    const [slice] = await slicesOf(database.expired(SESSIONS, NOON), 100)
    assert.equal((await database.transaction((tx) => slice!.remove(tx, []))).affected, 1)
    assert.deepEqual((await database.query('SELECT id FROM sessions NOT INDEXED')).rows, [{ id: 2 }, { id: 3 }])
  })
})

class Closing extends BetterSqlite3 implements Disposable {
  [Symbol.dispose](): void {
    this.close()
  }
}

function withSchemaOpen(file: string, work: (database: BetterSqlite3.Database) => void): void {
  using database = new Closing(file)
  database.unsafeMode(true)
  database.pragma('writable_schema = ON')
  work(database)
}

interface Sessions extends AsyncDisposable {
  readonly file: string
  readonly database: Database
  readonly gateway: BetterSqlite3.Database
}

/** Five that have expired, and what somebody put beside them. */
async function fiveSessions(sql = ''): Promise<Sessions> {
  const fresh = await freshSqliteFile()
  const open = await opened(fresh.file)
  const { database } = open
  await database.query('CREATE TABLE sessions (id INTEGER PRIMARY KEY, expires_at TIMESTAMP, note TEXT)')
  await database.query('CREATE INDEX idx_sessions_expires ON sessions (expires_at)')
  const gateway = beside(fresh.file)
  gateway.exec(`INSERT INTO sessions SELECT value, '2026-01-0' || value || ' 00:00:00', '' FROM json_each('[1,2,3,4,5]'); ${sql}`)
  return {
    file: fresh.file,
    database,
    gateway,
    async [Symbol.asyncDispose]() {
      gateway.close()
      await open[Symbol.asyncDispose]()
      await fresh[Symbol.asyncDispose]()
    },
  }
}

/** As the archive has them: read before they go. */
async function read(database: Database, size: number): Promise<ExportedSlice[]> {
  const slices = await slicesOf(database.exported(SESSIONS, NOON, Infinity), size)
  for (const slice of slices) await slice.read(() => Promise.resolve())
  return slices
}

async function ids(database: Database): Promise<readonly number[]> {
  const { rows } = await database.query<{ id: number }>('SELECT id FROM sessions ORDER BY id')
  return rows.map(({ id }) => id)
}
