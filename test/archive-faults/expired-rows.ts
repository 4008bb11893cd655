import type { TestDatabase, TestEngine } from '../support/engines.ts'

const DAYS = 4
const ROWS_A_DAY = 300

/** Rows of the days before the last 90. */
export async function fill(outside: TestDatabase, engine: TestEngine): Promise<void> {
  for (let day = 0; day < DAYS; day += 1) {
    const insert = `INSERT INTO audit_logs (tool_name, "user", action, status, output, timestamp) SELECT 't', 'u', 'invoke', 'success', '${'x'.repeat(200)}', ${engine.momentOf(`-(${91 + day} * 86400) - n`)} FROM `
    const series =
      engine.name === 'sqlite'
        ? `(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < ${ROWS_A_DAY}) SELECT n FROM s) AS s`
        : `generate_series(1, ${ROWS_A_DAY}) AS s (n)`
    await outside.sql(insert + series)
  }
}
