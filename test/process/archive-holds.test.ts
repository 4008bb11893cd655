import assert from 'node:assert/strict'
import { test } from 'node:test'
import { placed } from '../archive/placed-holds.ts'
import { freshFolder, idsOf } from '../archive/support.ts'
import { auditLogs } from '../runs/support.ts'
import { command } from '../support/command.ts'
import { BOTH_ENGINES } from '../support/engines.ts'

interface ListedFile {
  readonly holds: readonly { readonly name: string; readonly rows: number | null }[]
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: archive restore --into audit_logs goes by the rules of the settings and the holds in force, and archive list names the holds`, async () => {
    await using outside = await engine.fresh()
    await using folder = await freshFolder()
    const env = { DATABASE_URL: outside.url, ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: 'archive', ARCHIVE_RETENTION: 'forever' }
    const options = { env, cwd: folder.path }
    assert.equal((await command(['migrate'], options)).code, 0)
    await auditLogs(outside, engine, 25, 100)
    await outside.sql(`UPDATE audit_logs SET status = 'denied' WHERE id % 5 = 0`)
    await outside.sql(`UPDATE audit_logs SET "user" = 'alice' WHERE id % 5 = 1`)
    const purge = await command(['--run-now', '--job', 'purge-audit-logs'], options)
    assert.equal(purge.code, 0, purge.stdout)
    const unheld = JSON.parse((await command(['archive', 'list', '--json'], options)).stdout) as { files: ListedFile[] }
    assert.deepEqual(
      unheld.files.map(({ holds }) => holds),
      unheld.files.map(() => []),
    )

    await placed(outside, 'case 7', { user: ['Alice'], from: '2020-01-01' })
    await placed(outside, 'of old', { to: '2020-01-01' })
    const listed = await command(['archive', 'list'], { ...options, env: { ...env, COLUMNS: '200' } })
    assert.match(listed.stdout, /case 7 \(rows not counted yet\)/)
    assert.doesNotMatch(listed.stdout, /of old/)
    const rules = '[{ name: security, match: { status: denied }, retention: 365d }]'
    const taken = await command(['archive', 'restore', '--into', 'audit_logs'], {
      ...options,
      env: { ...env, AUDIT_LOGS_RETENTION_RULES: rules },
    })
    assert.equal(taken.code, 0, taken.stderr)
    assert.match(
      taken.stdout,
      /^10 rows of 1 file restored into audit_logs; 10 of them are older than 90d and stay, because a hold or a rule keeps them; 15 were left out, because they are older than 90d and the next purge would delete them again\n/,
    )
    assert.ok((await idsOf(outside)).every((id) => id % 5 < 2))

    await outside.sql(
      `UPDATE maintenance_holds SET released_at = 1, released_by = 'a test', release_reason = 'a test' WHERE name = 'of old'`,
    )
    await placed(outside, 'wrong', '[]')
    for (const [words, consequence] of [
      [['restore', '--into', 'audit_logs'], 'Nothing was restored'],
      [['list'], 'The files were not listed'],
    ] as const) {
      const refused = await command(['archive', ...words], options)
      assert.notEqual(refused.code, 0)
      const { msg } = JSON.parse(refused.stderr) as { msg: string }
      assert.match(
        msg,
        new RegExp(`^Hold "wrong" cannot be understood: .* is no JSON object\\. ${consequence}, because it may mean any row\\.`),
      )
    }
  })
}
