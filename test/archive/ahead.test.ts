import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client, types } from 'pg'
import { auditLogs, intercepted, migrated, migratedIn, opened, QUIET } from '../runs/support.ts'
import { BOTH_ENGINES, ENGINES, type TestDatabase } from '../support/engines.ts'
import { startPostgres } from '../support/postgres-server.ts'
import { purgedTo, verifiedAt } from './bucket-support.ts'
import { archivedOnceAt, rowsAt, SITES } from './sites.ts'
import { archivedOnce, freshFolder, idsOf, purged } from './support.ts'

/** More than the first part holds, so that a second part is read and written while the first is deleted. */
const ROWS = 15_000

async function connected(url: string): Promise<Client & AsyncDisposable> {
  const client = new Client({ connectionString: url })
  client.setTypeParser(types.builtins.INT8, Number)
  await client.connect()
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
}

for (const engine of BOTH_ENGINES.filter(({ name }) => name !== 'sqlite'))
  for (const { kind, fresh } of SITES) {
    test(`${engine.name}, a ${kind}: a locked row of one part waits for the next run, and the part that was written ahead is written again`, async () => {
      await using fixture = await migrated(engine)
      await using site = await fresh()
      const { outside, database } = fixture
      await auditLogs(outside, engine, ROWS, 100)
      const ids = await idsOf(outside)
      // The oldest has the highest number.
      const held = ids.at(-10)!
      await using holder = await connected(outside.url)
      await holder.query('BEGIN')
      await holder.query('SELECT FROM audit_logs WHERE id = $1 FOR UPDATE', [held])
      const first = await purgedTo(site.place, database)
      assert.deepEqual([first.outcome, first.deleted, first.locked], ['succeeded', ROWS - 1, 1])
      assert.deepEqual(await idsOf(outside), [held])
      await holder.query('ROLLBACK')
      const second = await purgedTo(site.place, database)
      assert.deepEqual([second.outcome, second.deleted], ['succeeded', 1])
      await archivedOnceAt(site, database, outside, ids)
    })

    test(`${engine.name}, a ${kind}: a row that changes after it was written ahead is archived as it was deleted`, async () => {
      for (let number = 3; number <= 13; number += 2) {
        await using fixture = await migrated(engine)
        await using site = await fresh()
        const { outside, database } = fixture
        await auditLogs(outside, engine, ROWS, 100)
        const ids = await idsOf(outside)
        const changing = intercepted(database, async (each, transact) => {
          const value = await transact()
          if (each === number) await outside.sql(`UPDATE audit_logs SET status = 'changed' WHERE id IN (SELECT min(id) FROM audit_logs)`)
          return value
        })
        const result = await purgedTo(site.place, changing)
        assert.deepEqual([result.outcome, result.deleted], ['succeeded', ROWS], String(result.error))
        await archivedOnceAt(site, database, outside, ids)
        const changed = (await rowsAt(site)).filter(({ status }) => status === 'changed')
        assert.deepEqual(
          changed.map(({ id }) => id),
          [ids[0]],
          `after transaction ${number}`,
        )
      }
    })

    test(`${engine.name}, a ${kind}: an interrupted run leaves no unfinished files, and the next run finishes the work`, async () => {
      for (const batches of [1, 2, 4]) {
        await using fixture = await migrated(engine)
        await using site = await fresh()
        const { outside, database } = fixture
        await auditLogs(outside, engine, ROWS, 100)
        const ids = await idsOf(outside)
        const stopping = new AbortController()
        let done = 0
        const listener = { ...QUIET, jobBatch: () => void (++done === batches && stopping.abort()) }
        assert.equal((await purgedTo(site.place, database, { stopping: stopping.signal }, { listener })).outcome, 'interrupted')
        assert.deepEqual(await site.drafts(), [])
        assert.deepEqual((await verifiedAt(site.place, database)).problems, [])
        const left = await idsOf(outside)
        assert.ok(left.length > 0 && left.length < ROWS, String(left.length))
        assert.equal((await purgedTo(site.place, database)).deleted, left.length)
        await archivedOnceAt(site, database, outside, ids)
      }
    })
  }

const ENGINE_18 = ENGINES.find(({ name }) => name === 'postgres 18')!

/** Batches do not wait for the disk, so a server crash undoes the last of them: rows that are back in the table are archived again. */
test('postgres 18: a server crash between batches loses no row, and no row is in two files', async (t) => {
  const server = await startPostgres(18)
  try {
    let backAgain = 0
    for (const batches of [1, 3, 8]) {
      await using admin = await connected(server.url)
      admin.on('error', () => {})
      const name = `crash_${batches}`
      await admin.query(`CREATE DATABASE ${name}`)
      const url = Object.assign(new URL(server.url), { pathname: `/${name}` }).href
      // Opens a new connection each time, because the server goes away in between.
      const reached: TestDatabase = {
        url,
        async sql<Row>(text: string, values: readonly (string | number | null)[] = []) {
          await using client = await connected(url)
          return (await client.query(text, [...values])).rows as Row[]
        },
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }
      await using folder = await freshFolder()
      await using fixture = await migratedIn(reached)
      const { database, outside } = fixture
      await auditLogs(outside, ENGINE_18, ROWS, 100)
      const ids = await idsOf(outside)
      let done = 0
      let deleted = 0
      let crash: Promise<void> | undefined
      const listener = {
        ...QUIET,
        jobBatch(_: string, { total }: { readonly total: number }) {
          done += 1
          deleted = total
          if (done === batches) crash = server.crash(100)
        },
      }
      const first = await purged(database, folder.path, {}, { listener })
      await crash
      assert.ok(['succeeded', 'failed'].includes(first.outcome))
      backAgain += ids.length - deleted < (await idsOf(outside)).length ? 1 : 0
      await using again = await opened(url)
      const second = await purged(again, folder.path)
      assert.equal(second.outcome, 'succeeded', String(second.error))
      await archivedOnce(again, outside, folder.path, ids)
    }
    t.diagnostic(`in ${backAgain} of 3 crashes rows were there again`)
  } finally {
    await server.stop()
  }
})
