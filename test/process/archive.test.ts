import assert from 'node:assert/strict'
import { readFile, rm, writeFile } from 'node:fs/promises'
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
    assert.match(sound.stdout, new RegExp(`^sound: ${files.length} files?, 25 rows, [\\d,]+ bytes in ${join(folder.path, 'archive')}\n$`))
    const listed = JSON.parse((await command(['archive', 'list', '--json'], options)).stdout) as { files: { path: string; rows: number }[] }
    assert.deepEqual(
      listed.files.map((file) => file.path),
      files,
    )
    const restored = await command(['archive', 'restore'], options)
    assert.match(restored.stdout, /^25 rows of \d files? restored into audit_logs_restored\n$/)
    assert.equal(await count(outside, 'audit_logs_restored'), 25)
    const taken = await command(['archive', 'restore', '--into', 'audit_logs'], options)
    assert.match(
      taken.stdout,
      /^0 rows of \d files? restored into audit_logs; 25 were left out, because they are older than 90d and the next purge would delete them again\n/,
    )
    assert.match(
      taken.stdout,
      /\nTo restore them into audit_logs anyway, set AUDIT_LOGS_RETENTION to more than their age, .* and restore again; .*\n$/,
    )

    await rm(join(folder.path, 'archive', files[0]!))
    const damaged = await command(['archive', 'verify', '--json'], options)
    assert.equal(damaged.code, 1)
    assert.deepEqual((JSON.parse(damaged.stdout) as { problems: string[] }).problems, [`${files[0]!}: is missing`])
    assert.deepEqual(await outside.sql('SELECT verified FROM maintenance_archives'), [{ verified: 'damaged' }])
  })
}

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: archive verify says what it read, and never that what it did not read is sound`, async () => {
    await using outside = await engine.fresh()
    await using folder = await freshFolder()
    const options = { env: { DATABASE_URL: outside.url, ARCHIVE_ENABLED: 'true', ARCHIVE_DIRECTORY: 'archive' }, cwd: folder.path }
    assert.equal((await command(['migrate'], options)).code, 0)

    const empty = await command(['archive', 'verify', '--since', '30d'], options)
    assert.equal(empty.code, 0, empty.stdout + empty.stderr)
    assert.match(empty.stdout, /^nothing to verify, since nothing was ever archived: 0 files/)
    assert.deepEqual(await outside.sql('SELECT verified FROM maintenance_archives'), [{ verified: 'sound' }])

    await auditLogs(outside, engine, 25, 100)
    assert.equal((await command(['--run-now', '--job', 'purge-audit-logs'], options)).code, 0)
    // Its rows are older than that, the file is not.
    const read = await command(['archive', 'verify', '--since', '30d'], options)
    assert.equal(read.code, 0, read.stdout + read.stderr)
    assert.match(read.stdout, /^sound: \d+ files?, 25 rows, [\d,]+ bytes in [^;]+$/)

    const unread = await command(['archive', 'verify', '--since', '2999-01-01'], options)
    assert.equal(unread.code, 1)
    assert.match(unread.stdout, /^not verified: \d+ files?, 25 rows, .*; \d+ written before 2999-01-01 00:00 UTC (was|were) not read\n$/)
    assert.match(unread.stderr, /No file was read: --since counts from when a file was written\. Give an earlier time/)
    const asJson = JSON.parse((await command(['archive', 'verify', '--since', '2999-01-01', '--json'], options)).stdout) as object
    assert.deepEqual(
      { ...asJson, bytes: 0, files: 0 },
      {
        result: 'unread',
        sound: false,
        files: 0,
        rows: 25,
        bytes: 0,
        filesRead: 0,
        unvouchedFiles: 0,
        removedFiles: 0,
        problems: [],
        inHand: 0,
      },
    )

    const [file] = await filesIn(join(folder.path, 'archive'))
    const path = join(folder.path, 'archive', file!)
    const bytes = await readFile(path)
    bytes[bytes.length >> 1]! ^= 1
    await writeFile(path, bytes)
    const damaged = await command(['archive', 'verify', '--since', '30d'], options)
    assert.equal(damaged.code, 1)
    const manifest = file!.replace('.ndjson.zst', '.json')
    assert.match(
      damaged.stdout,
      new RegExp(`^${file!}: .+\nThe newest file, ${manifest}, is among them: no rows are archived or deleted until .+\n1 problem: `),
    )

    // The database knows of an archive: a folder without one is no empty archive.
    const elsewhere = { ...options, env: { ...options.env, ARCHIVE_DIRECTORY: 'elsewhere' } }
    assert.equal((await command(['archive', 'verify', '--since', '30d'], elsewhere)).code, 1)
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
