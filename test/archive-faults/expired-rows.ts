import type { TestDatabase, TestEngine } from '../support/engines.ts'

export interface Days {
  /** The newest of them; absent: the day before the last 90. */
  readonly newest?: number
  readonly days?: number
  readonly rowsADay?: number
}

/** Rows of days before the last 90. */
export async function fill(outside: TestDatabase, engine: TestEngine, { newest = 91, days = 4, rowsADay = 300 }: Days = {}): Promise<void> {
  for (let day = newest; day < newest + days; day += 1) {
    const insert = `INSERT INTO audit_logs (tool_name, "user", action, status, output, timestamp) SELECT 't', 'u', 'invoke', 'success', '${'x'.repeat(200)}', ${engine.momentOf(`-(${day} * 86400) - n`)} FROM `
    const series =
      engine.name === 'sqlite'
        ? `(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < ${rowsADay}) SELECT n FROM s) AS s`
        : `generate_series(1, ${rowsADay}) AS s (n)`
    await outside.sql(insert + series)
  }
}
