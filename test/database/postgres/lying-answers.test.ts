import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { openPostgres } from '../../../src/database/postgres/postgres-database.ts'
import { expiredRows, type SliceOptions } from '../../../src/database/postgres/purging/slices.ts'
import type { Value } from '../../../src/database/query.ts'
import { freshPostgres, POSTGRES_MAJORS, type FreshPostgres } from '../../support/databases.ts'
import { opened } from './fixture.ts'

type Database = Awaited<ReturnType<typeof openPostgres>>

const CUTOFF = Date.UTC(2026, 5, 1)
const COLUMN = { table: 'events', column: 'at' }
const KEPT = ['-infinity', '2026-06-01 00:00:00', '2026-06-02 00:00:00', 'infinity']

/** Five rows that have expired, and those that must stay. */
async function events({ admin }: FreshPostgres): Promise<void> {
  await admin.query(`
    CREATE TABLE events (id bigserial PRIMARY KEY, at timestamp); CREATE INDEX ON events (at);
    INSERT INTO events (at) SELECT timestamp '2026-05-01' + i * interval '1 day' FROM generate_series(1, 5) AS i;
    INSERT INTO events (at) VALUES ('-infinity'), ('2026-06-01'), ('2026-06-02'), ('infinity'), (NULL)`)
}

async function left({ admin }: FreshPostgres): Promise<(string | null)[]> {
  return (await admin.query<{ at: string | null }>(`SELECT at::text FROM events ORDER BY at`)).rows.map(({ at }) => at)
}

/** The engine's own rows, with answers that are changed on their way. */
function lying(
  database: Database,
  lie: (text: string, row: Record<string, unknown>) => Record<string, unknown>,
): ReturnType<typeof expiredRows> {
  const options: SliceOptions = {
    query: {
      // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the boundary's own
      query: async <Row>(text: string, values?: readonly Value[]) => {
        const { rows, changed } = await database.query(text, values)
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what was asked for, but for what the lie puts there
        return { rows: rows.map((row) => lie(text, row)) as Row[], changed }
      },
    },
    look: (work) => database.transaction(work),
    scan: (work) => database.transaction(work),
    schema: 'public',
    timeZone: 'UTC',
    lockBackoff: { held: false },
    unflushed: { any: false },
    steered: new Set(),
    taken: new Map(),
  }
  return expiredRows(options, COLUMN, CUTOFF)
}

for (const major of POSTGRES_MAJORS) {
  describe(`answers of PostgreSQL ${major} that are not true`, () => {
    const lies: [string, Record<string, unknown>][] = [
      ['a bound far behind the cutoff', { bound: '9999-12-31T00:00:00' }],
      ['a first time before all times', { first: '-infinity' }],
      ['both', { first: '-infinity', bound: 'infinity' }],
    ]
    for (const [what, lie] of lies) {
      it(`false answers never delete a row that must stay: ${what}`, async () => {
        await using fresh = await freshPostgres(major)
        await events(fresh)
        await using database = await opened(fresh.url)
        const rows = lying(database, (text, row) => (text.includes('AS bound') ? { ...row, ...lie } : row))
        const slice = await rows.next(500, undefined)
        assert.equal(await slice!.count(), 5)
        const tally = await database.transaction((tx) => slice!.remove(tx, []))
        assert.deepEqual(tally, { affected: 5, locked: 0 })
        assert.deepEqual(await left(fresh), [...KEPT, null])
      })
    }

    for (const time of ['2026-06-02T00:00:00', '-infinity']) {
      it(`false answers never delete a row that must stay: many rows with the time ${time}`, async () => {
        await using fresh = await freshPostgres(major)
        await events(fresh)
        await using database = await opened(fresh.url)
        const rows = lying(database, (text, row) => (text.includes('AS bound') ? { first: time, bound: time } : row))
        const slice = await rows.next(500, undefined)
        assert.equal(await slice!.count(), 0)
        assert.deepEqual(await database.transaction((tx) => slice!.remove(tx, [])), { affected: 0, locked: 0 })
        assert.equal((await left(fresh)).length, 10)
      })
    }
  })
}
