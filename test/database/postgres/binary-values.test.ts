import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bigInt, oneof, sample } from 'fast-check'
import { LineBuffer } from '../../../src/database/exporting/line-buffer.ts'
import { JsonWriter } from '../../../src/database/postgres/exporting/json-writer.ts'
import type { Form } from '../../../src/database/postgres/exporting/stored-rows.ts'
import { freshPostgres, POSTGRES_MAJORS } from '../../support/databases.ts'

/** As `SELECT` casts it, and as it is sent. */
interface Sent {
  readonly text: string
  readonly bytes: Buffer
}

function written(form: Form, bytes: Buffer): unknown {
  const buffer = new LineBuffer()
  const writer = new JsonWriter(buffer)
  writer.begin(bytes.length, 64)
  writer.value(form, bytes, 0, bytes.length)
  return buffer.bytes.toString('utf8', 0, buffer.length)
}

const SAMPLES = { numRuns: 2_000, seed: 20261124 } as const

for (const major of POSTGRES_MAJORS) {
  void test(`whole numbers and times in the server's binary form are written as PostgreSQL ${major} writes them`, async () => {
    await using fresh = await freshPostgres(major)
    await fresh.admin.query(`SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'`)
    const whole = oneof(bigInt(-(2n ** 63n), 2n ** 63n - 1n), bigInt(-(2n ** 54n), 2n ** 54n), bigInt(-100n, 100n))
    const edges = [
      2n ** 53n,
      2n ** 53n - 1n,
      2n ** 52n,
      -(2n ** 52n),
      -(2n ** 53n),
      2n ** 63n - 1n,
      -(2n ** 63n),
      0n,
      -1n,
      9n,
      10n,
      99n,
      100n,
    ]
    const numbers = [...edges, ...sample(whole, SAMPLES)].map(String)
    const integers = await fresh.admin.query<Sent>(
      `SELECT n::text AS text, int8send(n) AS bytes FROM unnest($1::bigint[]) AS n
       UNION ALL SELECT n::int::text, int4send(n::int) FROM unnest($1::bigint[]) AS n WHERE n BETWEEN -2147483648 AND 2147483647
       UNION ALL SELECT n::smallint::text, int2send(n::smallint) FROM unnest($1::bigint[]) AS n WHERE n BETWEEN -32768 AND 32767`,
      [numbers],
    )
    assert.ok(integers.rows.length > SAMPLES.numRuns)
    for (const { text, bytes } of integers.rows) assert.equal(written('integer', bytes), text)

    // From 4713 BC to 294276, in microseconds since 2000; and around the ends of years, days and what a number holds.
    const micros = oneof(bigInt(-211813488000000000n, 9223371331199999999n), bigInt(-(2n ** 54n), 2n ** 54n), bigInt(0n, 10n ** 15n))
    const second = 1_000_000n
    const moments = [...sample(micros, SAMPLES), ...sample(bigInt(-70_000_000_000n, 9_000_000_000n), SAMPLES).map((n) => n * second)]
    const texts =
      `infinity, -infinity, 2000-01-01, 1999-12-31 23:59:59.999999, 0001-01-01, 0001-12-31 23:59:59.9 BC, 0001-01-01 BC, 2000-02-29,
      1900-02-28 24:00, 2100-03-01, 4713-01-01 BC, 294276-12-31 23:59:59.999999, 10000-01-01 00:00:00.00001`.split(/,\s+/)
    for (const type of ['timestamp', 'timestamptz'] as const) {
      // Whole days and the rest are added one after the other: an interval of microseconds alone is kept as a floating-point number.
      const times = await fresh.admin.query<Sent>(
        `SELECT CASE WHEN t < '0001-01-01' OR t = 'infinity' THEN ${type === 'timestamp' ? `to_json(t) #>> '{}'` : 't::text'}
           ELSE (to_json(t${type === 'timestamp' ? '' : ` AT TIME ZONE 'UTC'`}) #>> '{}') || '${type === 'timestamp' ? '' : 'Z'}' END AS text, ${type}_send(t) AS bytes
         FROM (
           SELECT ${type} '2000-01-01' + make_interval(days => (m / 86400000000)::int) + make_interval(secs => (m % 86400000000) / 1e6) AS t
           FROM unnest($1::bigint[]) AS m UNION ALL SELECT u::${type} FROM unnest($2::text[]) AS u
         ) AS times`,
        [moments.map(String), texts],
      )
      assert.equal(times.rows.length, moments.length + texts.length)
      for (const { text, bytes } of times.rows) assert.equal(written(type, bytes), JSON.stringify(text))
    }
  })
}
