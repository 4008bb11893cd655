import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { JOBS, retentionOf } from '../../src/catalogue.ts'
import type { Database } from '../../src/database/database.ts'
import type { Partitions } from '../../src/database/partitioning.ts'
import { statusDocument } from '../../src/status/document.ts'
import { findingsOf } from '../../src/status/findings.ts'
import { readStatus, type Status } from '../../src/status/read-status.ts'
import { statusText } from '../../src/terminal/status-text.ts'
import { DAY, hostClock } from '../../src/time/clock.ts'
import { migrated, opened } from '../runs/support.ts'
import { ENGINES, type TestDatabase } from '../support/engines.ts'
import { midnight, partition, partitioned, takenOut } from '../support/partitioned.ts'
import { recordingLink } from '../support/recording-link.ts'

function statusOf(database: Database, partitionsEnabled = true): Promise<Status> {
  return readStatus(database, {
    version: '1.2.3',
    migrationsEnabled: false,
    files: [],
    jobs: JOBS.map((job) => ({ job, enabled: true, schedule: job.schedule, retentionMs: retentionOf(job)?.defaultMs, graceMs: 0 })),
    archive: { enabled: false, directory: '/nowhere', uid: process.getuid?.(), keptMs: undefined },
    partitionsEnabled,
    scheduleTimeZone: 'UTC',
    clock: hostClock(),
  })
}

function codes(status: Status): readonly string[] {
  return findingsOf(status)
    .map(({ level, code }) => `${level} ${code}`)
    .filter((each) => each.includes('partitions'))
}

async function inserted(outside: TestDatabase, rows: number, time: string): Promise<void> {
  await outside.sql(
    `INSERT INTO audit_logs (tool_name, "user", action, status, "timestamp") SELECT 't', 'u', 'invoke', 'success', ${time} FROM generate_series(1, ${rows})`,
  )
}

/** What is asked of the record and of the catalogue, in this order. */
function counting(database: Database): { readonly database: Database; readonly asked: readonly string[] } {
  const asked: string[] = []
  const counted = new Proxy(database, {
    get(target, name) {
      const own = Reflect.get(target, name) as unknown
      if (name === 'partitions')
        return (...values: Parameters<Database['partitions']>): Partitions | undefined => {
          const partitions = target.partitions(...values)
          return partitions && { ...partitions, state: () => (asked.push('state'), partitions.state()) }
        }
      if (name !== 'query' || typeof own !== 'function') return own
      return (...values: unknown[]) => {
        if (String(values[0]).includes('maintenance_partitioned')) asked.push('record')
        return own.apply(target, values) as unknown
      }
    },
  })
  return { database: counted, asked }
}

for (const engine of ENGINES) {
  const isPostgres = engine.name !== 'sqlite'

  describe(`the status of a table that was never turned into partitions, on ${engine.name}`, () => {
    it('costs one statement on PostgreSQL and none on SQLite, and says nothing', async () => {
      await using fixture = await migrated(engine)
      const { database, asked } = counting(fixture.database)
      const status = await statusOf(database)
      assert.deepEqual(status.partitions, { enabled: true, tables: [], problem: undefined })
      assert.deepEqual(asked, isPostgres ? ['record'] : [])
      await fixture.outside.sql('DROP TABLE maintenance_partitioned')
      await statusOf(database)
      assert.deepEqual(asked, isPostgres ? ['record'] : [])
    })

    if (isPostgres)
      it('sends one statement more than before the record was there', async () => {
        await using fixture = await migrated(engine)
        await using link = await recordingLink(fixture.outside.url)
        const sent = async (): Promise<readonly string[]> => {
          const before = new Set(link.statements)
          await using database = await opened(link.through(fixture.outside.url), hostClock(), { access: 'read' })
          await statusOf(database)
          return [...link.statements].filter((statement) => !before.has(statement))
        }
        await fixture.outside.sql('ALTER TABLE maintenance_partitioned RENAME TO elsewhere')
        await sent()
        await fixture.outside.sql('ALTER TABLE elsewhere RENAME TO maintenance_partitioned')
        const more = await sent()
        assert.equal(more.length, 1, more.join('\n'))
        assert.match(more[0]!, /FROM "public"\."maintenance_partitioned"/)
      })
  })

  if (!isPostgres) continue
  describe(`the status of partitions on ${engine.name}`, () => {
    it('says how far they reach and which is the first, and nothing needs a look', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await inserted(outside, 100, "now() - interval '1 day'")
      await partitioned(outside)
      await inserted(outside, 3, 'now()')
      const status = await statusOf(database)
      assert.deepEqual(codes(status), [])
      const [table] = statusDocument(status).partitions.tables
      assert.deepEqual(
        [
          table?.state,
          table?.coveredUntil,
          table?.partitions,
          table?.defaultRows,
          table?.defaultRowsExact,
          table?.detached,
          table?.problems,
        ],
        ['converted', `${midnight(14).replace(' ', 'T')}.000Z`, 13, 0, true, [], []],
      )
      assert.deepEqual(table?.first, { name: 'audit_logs_legacy', until: `${midnight(2).replace(' ', 'T')}.000Z` })
      assert.ok(table.daysAhead! > 12.9 && table.daysAhead! <= 14)
      assert.match(
        statusText(status, { control: false, unicode: true, columns: 80 }),
        /\n {2}ahead {7}13 d .*, until \S+ 00:00 UTC\n {2}default {5}no rows\n/,
      )
      assert.deepEqual(codes(await statusOf(database, false)), ['advice partitions-disabled'])
    })

    it('finds that they run out, also where one in between is missing', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { boundDay: 2, days: [2, 2] })
      for (const day of [3, 4, 5, 6]) await partition(outside, day)
      const status = await statusOf(database)
      assert.equal(codes(status)[0], 'fault partitions-running-out')
      assert.equal(statusDocument(status).partitions.tables[0]?.coveredUntil, `${midnight(2).replace(' ', 'T')}.000Z`)
      await partition(outside, 2)
      assert.deepEqual(codes(await statusOf(database)), [])
    })

    it('counts the rows in DEFAULT, and finds that there are many', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside)
      await inserted(outside, 1_000, "'2999-01-01'")
      const few = await statusOf(database)
      assert.deepEqual([codes(few), statusDocument(few).partitions.tables[0]?.defaultRows], [[], 1_000])
      await inserted(outside, 1, "'infinity'")
      assert.deepEqual(codes(await statusOf(database)), ['advice partitions-default-filled'])
    })

    it('finds what was taken out a day ago and is still there', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await partitioned(outside, { days: [2, 14] })
      await partition(outside, 20)
      const name = await takenOut(outside, 20, Date.now())
      const fresh = await statusOf(database)
      assert.deepEqual([codes(fresh), statusDocument(fresh).partitions.tables[0]?.detached.map((each) => each.name)], [[], [name]])
      const since = async (days: number): Promise<readonly string[]> => {
        await outside.sql('UPDATE maintenance_detached SET detached_at = $1', [Date.now() - days * DAY])
        return codes(await statusOf(database))
      }
      assert.deepEqual(await since(2), ['advice partitions-detached'])
      assert.deepEqual(await since(8), ['fault partitions-detached'])
      await outside.sql(`COMMENT ON TABLE ${name} IS 'ours'`)
      assert.deepEqual(await since(0), ['fault partitions-hindered'], 'the next run would leave it')
    })

    it('says that a start has not ended, and whether the table refuses rows by then', async () => {
      await using fixture = await migrated(engine)
      const { outside, database } = fixture
      await outside.sql(
        `INSERT INTO maintenance_partitioned (table_name, first_partition, bound, began_at) VALUES ('audit_logs', 'audit_logs_legacy', $1, $2)`,
        [midnight(2), Date.now()],
      )
      assert.deepEqual(codes(await statusOf(database)), ['advice partitions-unfinished'])
      await outside.sql(
        `ALTER TABLE audit_logs ADD CONSTRAINT audit_logs_legacy_bound CHECK ("timestamp" IS NOT NULL AND "timestamp" < '${midnight(2)}') NOT VALID`,
      )
      const refusing = await statusOf(database)
      assert.deepEqual(codes(refusing), ['fault partitions-refusing'])
      assert.equal(statusDocument(refusing).partitions.tables[0]?.refusesFrom, `${midnight(2).replace(' ', 'T')}.000Z`)
      // It is as it says.
      await assert.rejects(inserted(outside, 1, `'${midnight(2)}'`), /violates check constraint/)
    })

    it('of a role that may not read the record is told as that, and the rest all the same', async () => {
      await using fixture = await migrated(engine)
      const { outside } = fixture
      await partitioned(outside)
      const role = `reader_${Math.random().toString(36).slice(2)}`
      await outside.sql(`CREATE ROLE ${role} LOGIN PASSWORD '${role}'`)
      try {
        await outside.sql(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${role}`)
        await outside.sql(`REVOKE ALL ON maintenance_partitioned FROM ${role}`)
        const url = Object.assign(new URL(outside.url), { username: role, password: role }).href
        await using database = await opened(url, hostClock(), { access: 'read' })
        const status = await statusOf(database)
        assert.deepEqual(codes(status), ['advice partitions-in-doubt'])
        assert.match(String(status.partitions.problem), /permission denied for table maintenance_partitioned/)
        assert.equal(status.jobs[0]?.backlog?.rows, 0)
      } finally {
        await outside.sql(`DROP OWNED BY ${role}`)
        await outside.sql(`DROP ROLE ${role}`)
      }
    })
  })
}
