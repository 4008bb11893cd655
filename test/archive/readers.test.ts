import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { DuckDBInstance } from '@duckdb/node-api'
import { auditLogs, migrated } from '../runs/support.ts'
import { CHECKOUT } from '../shipping/checkout.ts'
import { ENGINES } from '../support/engines.ts'
import { freshFolder, purged } from './support.ts'

const ROWS = 4_000

const page = await readFile(join(CHECKOUT, 'docs/archive.md'), 'utf8')

/** A command of docs/archive.md, for a folder that has `archive/`. */
function shown(pattern: RegExp): string {
  const found = pattern.exec(page)?.[1]
  assert.ok(found !== undefined, `docs/archive.md does not show ${String(pattern)}`)
  return found
}

for (const engine of [ENGINES[0]!, ENGINES.at(-1)!]) {
  test(`${engine.name}: zstdcat and jq read the files as docs/archive.md shows, and count the same rows`, async (context) => {
    for (const tool of ['zstdcat', 'jq']) {
      const found = await promisify(execFile)('sh', ['-c', `command -v ${tool}`]).catch(() => undefined)
      if (found === undefined) return context.skip(`${tool} is not here: apt-get install zstd jq`)
    }
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    await auditLogs(fixture.outside, engine, ROWS, 100)
    assert.equal((await purged(fixture.database, join(folder.path, 'archive'))).deleted, ROWS)
    const { stdout } = await promisify(execFile)('sh', ['-c', shown(/^(find .*zstdcat.*jq .*)$/m)], { cwd: folder.path })
    assert.equal(stdout.trim(), `${ROWS} success`)
  })

  test(`${engine.name}: DuckDB reads the files as docs/archive.md shows, and counts the same rows`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    await auditLogs(fixture.outside, engine, ROWS, 100)
    assert.equal((await purged(fixture.database, join(folder.path, 'archive'))).deleted, ROWS)
    const duck = await DuckDBInstance.create(':memory:')
    const connection = await duck.connect()
    try {
      const query = shown(/^duckdb -c "(.*)"$/m).replace("'archive/", `'${folder.path.replaceAll("'", "''")}/archive/`)
      const reader = await connection.runAndReadAll(query)
      assert.deepEqual(
        reader.getRows().map((row) => row.map(String)),
        [['success', String(ROWS)]],
      )
    } finally {
      connection.closeSync()
      duck.closeSync()
    }
  })
}
