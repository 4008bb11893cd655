import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { DuckDBInstance } from '@duckdb/node-api'
import { ENGINES } from '../support/engines.ts'
import { auditLogs, migrated } from '../jobs/support.ts'
import { freshFolder, purged } from './support.ts'

const ROWS = 4_000

for (const engine of [ENGINES[0]!, ENGINES.at(-1)!]) {
  test(`${engine.name}: zstdcat and jq read the files as the README shows, and count the same rows`, async (context) => {
    for (const tool of ['zstdcat', 'jq']) {
      const found = await promisify(execFile)('sh', ['-c', `command -v ${tool}`]).catch(() => undefined)
      if (found === undefined) return context.skip(`${tool} is not here: apt-get install zstd jq`)
    }
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    await auditLogs(fixture.outside, engine, ROWS, 100)
    assert.equal((await purged(fixture.database, folder.path)).deleted, ROWS)
    const shell = `find ${folder.path}/audit_logs -name '*.ndjson.zst' -exec zstdcat {} + | jq -r .status | sort | uniq -c`
    const { stdout } = await promisify(execFile)('sh', ['-c', shell])
    assert.equal(stdout.trim(), `${ROWS} success`)
  })

  test(`${engine.name}: DuckDB reads the files as the README shows, and counts the same rows`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    await auditLogs(fixture.outside, engine, ROWS, 100)
    assert.equal((await purged(fixture.database, folder.path)).deleted, ROWS)
    const duck = await DuckDBInstance.create(':memory:')
    const connection = await duck.connect()
    try {
      const files = join(folder.path, 'audit_logs/**/*.ndjson.zst').replaceAll("'", "''")
      const reader = await connection.runAndReadAll(
        `SELECT status, count(*) AS n, count(DISTINCT id) AS ids FROM read_json_auto('${files}') GROUP BY status`,
      )
      assert.deepEqual(
        reader.getRows().map((row) => row.map(String)),
        [['success', String(ROWS), String(ROWS)]],
      )
    } finally {
      connection.closeSync()
      duck.closeSync()
    }
  })
}
