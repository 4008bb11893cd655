import assert from 'node:assert/strict'
import { test } from 'node:test'
import { zstdDecompressSync } from 'node:zlib'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LONGEST_ROW_BYTES } from '../../src/archive/format.ts'
import { command } from '../support/command.ts'
import { BOTH_ENGINES } from '../support/engines.ts'
import { fitsContainer, TELLS_MEMORY, UNTOLD } from './peak-memory.ts'
import { contents, filesIn, freshFolder } from './support.ts'
import { settingsIn } from './where.ts'

/** Each takes a different path through memory: a string with a character beyond Latin-1 takes two bytes a letter. */
const CONTENTS = [
  { what: 'letters', prefix: '', character: 'a', bytes: 1 },
  { what: 'letters after a wide character', prefix: '\u{1F600}', character: 'a', bytes: 1 },
  { what: 'control characters', prefix: '', character: '\u0001', bytes: 6 },
] as const

for (const engine of BOTH_ENGINES.filter(({ name }) => name === 'sqlite' || name.endsWith('18'))) {
  for (const { what, prefix, character, bytes } of CONTENTS) {
    const title = `${engine.name}: the longest row, of ${what}, is archived, verified and restored within the memory of the documented container`
    test(title, { skip: UNTOLD }, async (context) => {
      await using outside = await engine.fresh()
      await using folder = await freshFolder()
      const env = {
        DATABASE_URL: outside.url,
        ARCHIVE_ENABLED: 'true',
        ...settingsIn(folder.path),
        ARCHIVE_RETENTION: 'forever',
        // As in the image.
        NODE_OPTIONS: `--max-semi-space-size=1 ${TELLS_MEMORY}`,
      }
      assert.equal((await command(['migrate'], { env })).code, 0)
      // Leaves room for what is around the value, and for PostgreSQL's allowance for that.
      const letters = Math.floor((LONGEST_ROW_BYTES - 1_500) / bytes / 2) * 2
      const value =
        engine.name === 'sqlite' ? `replace(hex(zeroblob(${letters / 2})), '0', '${character}')` : `repeat('${character}', ${letters})`
      await outside.sql(
        `INSERT INTO audit_logs (tool_name, "user", action, status, output, timestamp) SELECT 't', 'u', 'a', 's', '${prefix}' || ${value}, '2020-01-02 03:04:05'`,
      )
      const before = (await contents(outside, 'audit_logs')).map((row) => row.length)
      for (const words of [
        ['--run-now', '--job', 'purge-audit-logs', '--accept-empty-table'],
        ['archive', 'verify'],
        ['archive', 'restore'],
      ]) {
        const ended = await command(words, { env, timeoutMs: 100_000 })
        assert.equal(ended.code, 0, ended.stdout + ended.stderr)
        fitsContainer(words, ended, context)
      }
      const [file = ''] = await filesIn(folder.path)
      const line = zstdDecompressSync(await readFile(join(folder.path, file)))
      assert.ok(line.length > LONGEST_ROW_BYTES - 1_500 && line.length <= LONGEST_ROW_BYTES + 1, `${line.length}`)
      assert.deepEqual(
        (await contents(outside, 'audit_logs_restored')).map((row) => row.length),
        before,
      )
      assert.equal((await outside.sql(`SELECT 1 FROM audit_logs_restored WHERE output = '${prefix}' || ${value}`)).length, 1)
    })
  }
}
