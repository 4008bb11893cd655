import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { DAY, HOUR } from '../../../src/time/clock.ts'
import { freshPostgres, POSTGRES_MAJORS } from '../../support/databases.ts'
import { opened, purged } from './fixture.ts'

const ZONES = ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kathmandu', 'Australia/Lord_Howe', 'America/St_Johns', 'Pacific/Apia']
/** A reading may occur twice within an hour, or stand for one that the clocks jumped over. */
const UNCERTAIN_MS = 2 * HOUR

/** Microseconds from the cutoff: many within a second and a day of it, and exactly on it. */
const DISTANCE = fc.oneof(
  fc.constant(0),
  fc.integer({ min: -3, max: 3 }),
  fc.integer({ min: -1_000_000, max: 1_000_000 }),
  fc.integer({ min: -26 * HOUR * 1_000, max: 26 * HOUR * 1_000 }),
  fc.integer({ min: -400 * DAY * 1_000, max: 400 * DAY * 1_000 }),
)

const CASE = fc.record({
  zone: fc.constantFrom(...ZONES),
  session: fc.constantFrom(...ZONES),
  cutoff: fc.integer({ min: Date.UTC(2024, 0, 1), max: Date.UTC(2027, 0, 1) }),
  distances: fc.array(DISTANCE, { minLength: 1, maxLength: 40 }),
  size: fc.integer({ min: 1, max: 9 }),
})

for (const major of POSTGRES_MAJORS) {
  void describe(`whatever was stored, on PostgreSQL ${major}`, () => {
    for (const type of ['timestamp', 'timestamptz'] as const) {
      void test(`${type}: no row at or after the cutoff is deleted, and every earlier row is`, async () => {
        await using fresh = await freshPostgres(major)
        await fresh.admin.query(`CREATE TABLE rows (id bigint PRIMARY KEY, at ${type}); CREATE INDEX rows_at ON rows (at)`)
        const run = async ({ zone, session, cutoff, distances, size }: typeof CASE extends fc.Arbitrary<infer T> ? T : never) => {
          await fresh.admin.query(`TRUNCATE rows; SET TIME ZONE '${session}'`)
          for (const [id, distance] of distances.entries()) {
            await fresh.admin.query(`INSERT INTO rows VALUES ($1, $2::${type})`, [
              id,
              stored(cutoff, distance, type === 'timestamp' ? zone : undefined),
            ])
          }
          await using database = await opened(fresh.url, { timeZone: zone })
          await purged(database, 'rows', cutoff, size)
          const { rows } = await fresh.admin.query<{ id: string }>('SELECT id FROM rows')
          const left = new Set(rows.map(({ id }) => Number(id)))
          for (const [id, distance] of distances.entries()) {
            if (distance >= 0) assert.ok(left.has(id), `a row ${distance} µs from the cutoff is gone`)
            else if (type === 'timestamptz' || zone === 'UTC' || distance < -UNCERTAIN_MS * 1_000)
              assert.ok(!left.has(id), `a row ${distance} µs from the cutoff is left`)
          }
        }
        await fc.assert(fc.asyncProperty(CASE, run), { numRuns: 40 })
      })
    }
  })
}

/** What a client in this zone writes for the moment so many microseconds from `cutoff`; without a zone, the moment in UTC with its offset. */
function stored(cutoff: number, distance: number, zone: string | undefined): string {
  const micros = BigInt(cutoff) * 1_000n + BigInt(distance)
  const seconds = Number(micros / 1_000_000n)
  const fraction = String(micros % 1_000_000n).padStart(6, '0')
  const clock = new Intl.DateTimeFormat('sv-SE', { timeZone: zone ?? 'UTC', dateStyle: 'short', timeStyle: 'medium' })
  return `${clock.format(seconds * 1_000)}.${fraction}${zone === undefined ? '+00' : ''}`
}
