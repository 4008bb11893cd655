import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { filesIn, freshFolder } from '../archive/support.ts'
import { auditLogs, count } from '../runs/support.ts'
import { command, events } from '../support/command.ts'
import { BOTH_ENGINES, ENGINES } from '../support/engines.ts'

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: archive, verify, list and restore from the command line`, async () => {
    await using outside = await engine.fresh()
    await using folder = await freshFolder()
    const env = { DATABASE_URL: outside.url, ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: 'archive' }
    const options = { env, cwd: folder.path }
    assert.equal((await command(['migrate'], options)).code, 0)
    await auditLogs(outside, engine, 25, 100)
    const run = await command(['--run-now', '--job', 'purge-audit-logs'], options)
    assert.equal(run.code, 0, run.stdout)
    const [finished] = events(run, 'job.finished')
    const files = await filesIn(join(folder.path, 'archive'))
    assert.deepEqual([finished!['deleted'], finished!['archivedRows'], finished!['archivedFiles']], [25, 25, files.length])
    assert.equal(events(run, 'note').length, 0)

    const sound = await command(['archive', 'verify'], options)
    assert.equal(sound.code, 0, sound.stdout + sound.stderr)
    assert.match(sound.stdout, new RegExp(`^sound: ${files.length} files, 25 rows, \\d+ bytes in ${join(folder.path, 'archive')}\n$`))
    const listed = JSON.parse((await command(['archive', 'list', '--json'], options)).stdout) as { files: { path: string; rows: number }[] }
    assert.deepEqual(
      listed.files.map((file) => file.path),
      files,
    )
    const restored = await command(['archive', 'restore'], options)
    assert.match(restored.stdout, /^25 rows of \d files restored into audit_logs_restored\n$/)
    assert.equal(await count(outside, 'audit_logs_restored'), 25)
    const taken = await command(['archive', 'restore', '--into', 'audit_logs'], options)
    assert.match(
      taken.stdout,
      /^0 rows of \d files restored into audit_logs; 25 were left out, because they are older than 90d and the next purge would delete them again\n/,
    )
    assert.match(
      taken.stdout,
      /\nTo restore them into audit_logs all the same, set AUDIT_LOGS_RETENTION longer than they are old, .* and restore again; .*\n$/,
    )

    await rm(join(folder.path, 'archive', files[0]!))
    const damaged = await command(['archive', 'verify', '--json'], options)
    assert.equal(damaged.code, 1)
    assert.deepEqual((JSON.parse(damaged.stdout) as { problems: string[] }).problems, [`${files[0]!}: is missing`])
    assert.deepEqual(await outside.sql('SELECT verified FROM maintenance_archives'), [{ verified: 'damaged' }])
  })
}

test('without archiving a retention under a year is noted once, with it or above that nothing is', async () => {
  await using outside = await ENGINES[0]!.fresh()
  const notes = async (env: Readonly<Record<string, string>>): Promise<unknown[]> =>
    events(await command(['--run-now'], { env: { DATABASE_URL: outside.url, ...env } }), 'note').map((line) => line['msg'])
  const noted = await notes({})
  assert.equal(noted.length, 1)
  assert.match(String(noted[0]), /^audit_logs older than 90d are deleted for good: archiving is off.*12 months.*ARCHIVE_ENABLED=true$/)
  assert.deepEqual(await notes({ AUDIT_LOGS_RETENTION: '365d' }), [])
  assert.deepEqual(await notes({ PURGE_AUDIT_LOGS_ENABLED: 'false' }), [])
})

test('an archive that is kept no longer than the rows are is refused', async () => {
  const refused = await command(['config'], { env: { ARCHIVE_ENABLED: 'true', ARCHIVE_RETENTION: '90d' } })
  assert.equal(refused.code, 2)
  assert.match(refused.stderr, /archive\.retention: it is 90d, but rows are archived when they are 90d old.*has to be longer/)
  assert.equal((await command(['config'], { env: { ARCHIVE_ENABLED: 'true', ARCHIVE_RETENTION: 'forever' } })).code, 0)
  assert.equal((await command(['config'], { env: { ARCHIVE_RETENTION: 'never' } })).code, 2)
})
