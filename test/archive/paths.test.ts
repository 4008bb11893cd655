import assert from 'node:assert/strict'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { textOf, sha256, type Manifest } from '../../src/archive/format.ts'
import { parseManifest } from '../../src/archive/manifest.ts'
import { dayOf, manifestOf, parsePath, pathOf, positionOf, ROWS_SUFFIX, rowsOf } from '../../src/archive/store/path.ts'
import { parseStep } from '../../src/archive/stored-step.ts'
import { auditLogs, count, migrated } from '../runs/support.ts'
import { BOTH_ENGINES, ENGINES } from '../support/engines.ts'
import { filesIn, freshFolder, purged, recordOf, restored, verified } from './support.ts'

/** None of these is the path of a file of `audit_logs`, whatever it looks like. */
const HOSTILE: readonly string[] = [
  '../../victim/data.db',
  '/etc/passwd',
  '',
  '.',
  '..',
  'audit_logs',
  'audit_logs/',
  'audit_logs/2026/08/25',
  'audit_logs/2026/08/25/',
  'audit_logs/2026/08/25/17-3',
  'audit_logs/2026/08/25/17-3.db',
  'audit_logs/2026/08/25/17-3.ndjson',
  'audit_logs/2026/08/25/17-3.json.zst',
  'audit_logs/2026/08/25/17-3.JSON',
  'audit_logs/2026/08/25/017-3.json',
  'audit_logs/2026/08/25/17-03.json',
  'audit_logs/2026/08/25/17.json',
  'audit_logs/2026/08/25/-3.json',
  'audit_logs/2026/08/25/17--3.json',
  'audit_logs/2026/08/25/17-3.json\n',
  'audit_logs/2026/08/25/17-3.json\0',
  'audit_logs/2026/08/25/17-3.json\0.ndjson.zst',
  ' audit_logs/2026/08/25/17-3.json',
  'audit_logs/2026/08/25/17-3.json/',
  './audit_logs/2026/08/25/17-3.json',
  'audit_logs//2026/08/25/17-3.json',
  'audit_logs/./2026/08/25/17-3.json',
  'audit_logs/../audit_logs/2026/08/25/17-3.json',
  'audit_logs/2026/08/../25/17-3.json',
  'audit_logs/2026/08/25/../../../../victim/17-3.json',
  'audit_logs\\2026\\08\\25\\17-3.json',
  'audit_logs/2026/08/25\\17-3.json',
  'audit_logs/.writing/17-3.json',
  'audit_logs/2026/8/25/17-3.json',
  'audit_logs/2026/13/25/17-3.json',
  'audit_logs/2026/02/30/17-3.json',
  'audit_logs/2026/00/00/17-3.json',
  'audit_logs/-000000/01/01/17-3.json',
  'audit_logs/+012026/01/01/17-3.json',
  'Audit_logs/2026/08/25/17-3.json',
  'AUDIT_LOGS/2026/08/25/17-3.json',
  'policy_decisions/2026/08/25/17-3.json',
  'audit_logs2/2026/08/25/17-3.json',
  'reconciled/../audit_logs/2026/08/25/17-3.json',
  'reconciled/policy_decisions/2026/08/25/17-3.json',
  'Reconciled/audit_logs/2026/08/25/17-3.json',
  'reconciled/reconciled/audit_logs/2026/08/25/17-3.json',
  // A Cyrillic a, a fullwidth solidus, Arabic digits, a fraction slash, a right-to-left override.
  '\u0430udit_logs/2026/08/25/17-3.json',
  'audit_logs\uff0f2026\uff0f08\uff0f25\uff0f17-3.json',
  'audit_logs/\u0662\u0660\u0662\u0666/08/25/17-3.json',
  'audit_logs/2026/08/25/17\u20113.json',
  'audit_logs/2026/08/25/\u202e17-3.json',
  `audit_logs/2026/08/25/${'1'.repeat(300)}-3.json`,
  `audit_logs/2026/08/25/17-${'9'.repeat(16)}.json`,
  `${'../'.repeat(5_000)}etc/passwd`,
]

test('only names of the archive’s own form are accepted as paths', () => {
  for (const text of HOSTILE) assert.equal(parsePath(text, 'audit_logs'), undefined, JSON.stringify(text))
  for (const value of [undefined, null, 17, true, {}, ['audit_logs/2026/08/25/17-3.json']])
    assert.equal(parsePath(value, 'audit_logs'), undefined)
  for (const text of [
    'audit_logs/2026/08/25/17-3.json',
    'audit_logs/2026/08/25/17-3.ndjson.zst',
    'audit_logs/2024/02/29/0-0.json',
    'audit_logs/0000/01/01/17-3.json',
    'audit_logs/-000043/03/15/17-3.ndjson.zst',
    'reconciled/audit_logs/2026/08/25/17-3.json',
  ])
    assert.equal(parsePath(text, 'audit_logs'), text)
})

test('a path yields its day, its number and the path of the file beside it', () => {
  for (const day of ['2026-08-25', '-000043-03-15']) {
    const path = pathOf('audit_logs', day, 17, 3, ROWS_SUFFIX)
    assert.deepEqual([dayOf(path), positionOf(path), rowsOf(manifestOf(path))], [day, 3, path])
  }
})

const STEP = {
  run: 1,
  drafts: 'a1b2c3d4e5f6-',
  files: [{ manifest: 'audit_logs/2026/08/25/1-1.json', sha256: '0'.repeat(64), path: 'audit_logs/2026/08/25/1-1.ndjson.zst', rows: 1 }],
  obsolete: ['audit_logs/2026/08/25/1-0.ndjson.zst'],
  growth: { rows: 1, bytes: 1, files: 1 },
  newestAt: null,
}

test('a step is read only if every path in it has the archive’s form', () => {
  assert.deepEqual(parseStep(JSON.stringify(STEP), 'audit_logs'), STEP)
  // The steps of earlier versions have no prefix of drafts.
  assert.deepEqual(parseStep(JSON.stringify({ ...STEP, drafts: undefined }), 'audit_logs'), { ...STEP, drafts: '' })
  const [file] = STEP.files
  for (const text of HOSTILE)
    for (const step of [
      { ...STEP, obsolete: [...STEP.obsolete, text] },
      { ...STEP, files: [{ ...file, path: text }] },
      { ...STEP, files: [{ ...file, manifest: text }] },
    ])
      assert.throws(() => parseStep(JSON.stringify(step), 'audit_logs'), { code: 'ARCHIVE_DAMAGED' }, JSON.stringify(text))
})

test('what is not a step is refused, whatever it is instead', () => {
  const [file] = STEP.files
  const others = [
    null,
    [],
    {},
    'x',
    { ...STEP, run: '1' },
    { ...STEP, run: -1 },
    { ...STEP, drafts: '../' },
    { ...STEP, drafts: 1 },
    { ...STEP, files: {} },
    { ...STEP, files: [null] },
    { ...STEP, files: [{ ...file, rows: 1e300 }] },
    { ...STEP, files: [{ ...file, rows: 2 ** 40 }] },
    { ...STEP, files: [{ ...file, sha256: '' }] },
    { ...STEP, files: [{ ...file, manifest: file!.path, path: file!.manifest }] },
    { ...STEP, obsolete: 'audit_logs/2026/08/25/1-0.ndjson.zst' },
    { ...STEP, growth: null },
    { ...STEP, growth: { rows: '1', bytes: 1, files: 1 } },
    { ...STEP, newestAt: 'now' },
  ]
  for (const other of others)
    assert.throws(() => parseStep(JSON.stringify(other), 'audit_logs'), { code: 'ARCHIVE_DAMAGED' }, JSON.stringify(other))
  assert.throws(() => parseStep('{', 'audit_logs'), { code: 'ARCHIVE_DAMAGED' })
})

for (const engine of BOTH_ENGINES) {
  test(`${engine.name}: pending files outside the archive are left alone, and the run reports them and deletes nothing`, async () => {
    await using fixture = await migrated(engine)
    await using folder = await freshFolder()
    const archive = join(folder.path, 'archive')
    const victim = join(folder.path, 'victim', 'data.db')
    await mkdir(dirname(victim))
    await writeFile(victim, 'precious')
    await auditLogs(fixture.outside, engine, 5, 101)
    assert.equal((await purged(fixture.database, archive)).archived?.rows, 5)
    await auditLogs(fixture.outside, engine, 7, 100)
    for (const step of [
      { ...STEP, files: [], obsolete: ['audit_logs/../../victim/data.db'] },
      { ...STEP, files: [], obsolete: [victim] },
      { ...STEP, files: [{ ...STEP.files[0], path: '../victim/data.db' }] },
    ]) {
      await fixture.outside.sql(`UPDATE maintenance_archives SET removed = '', step = '${JSON.stringify(step)}'`)
      const result = await purged(fixture.database, archive)
      assert.equal(result.outcome, 'failed')
      assert.match(
        String(result.error),
        /maintenance_archives\.step names ".*victim\/data\.db", which is not the place of a file of audit_logs/,
      )
      await assert.rejects(verified(fixture.database, archive), { code: 'ARCHIVE_DAMAGED' })
      await assert.rejects(restored(fixture.database, archive), { code: 'ARCHIVE_DAMAGED' })
      assert.equal(await readFile(victim, 'utf8'), 'precious')
      assert.equal(await count(fixture.outside, 'audit_logs'), 7)
    }
  })
}

const [SQLITE] = ENGINES

test('if the head is outside the archive, it is not read', async () => {
  await using fixture = await migrated(SQLITE!)
  await using folder = await freshFolder()
  await auditLogs(fixture.outside, SQLITE!, 5, 101)
  await purged(fixture.database, folder.path)
  await auditLogs(fixture.outside, SQLITE!, 7, 100)
  await fixture.outside.sql(`UPDATE maintenance_archives SET head_file = '../../../../../../proc/self/environ'`)
  const result = await purged(fixture.database, folder.path)
  assert.match(String(result.error), /maintenance_archives\.head_file names "\.\.\/.*environ", which is not the place/)
  assert.equal(await count(fixture.outside, 'audit_logs'), 7)
})

test('a manifest that names a file elsewhere, or lies about its own path, is refused even if the database vouches for it', async () => {
  await using fixture = await migrated(SQLITE!)
  await using folder = await freshFolder()
  await auditLogs(fixture.outside, SQLITE!, 5, 101)
  await purged(fixture.database, folder.path)
  await auditLogs(fixture.outside, SQLITE!, 7, 100)
  const { head } = await recordOf(fixture.database).load(fixture.database)
  const place = join(folder.path, head!.manifest)
  const honest = await readFile(place)
  const manifest = parseManifest(honest, head!.manifest)!
  assert.ok(manifest.kind === 'rows')
  const { file } = manifest
  const lies = [
    { ...manifest, manifest: 'audit_logs/2026/01/01/1-1.json' },
    { ...manifest, position: manifest.position + 1 },
    { ...manifest, source: { ...manifest.source, table: 'sessions' } },
    { ...manifest, previous: { manifest: '../../x.json', sha256: '0'.repeat(64) } },
    { ...manifest, file: { ...file, path: '../../victim/data.db' } },
    { ...manifest, file: { ...file, path: 'audit_logs/2026/01/01/1-1.ndjson.zst' } },
    { ...manifest, file: { ...file, day: '2026-01-01' } },
    { ...manifest, file: { ...file, rows: -1 } },
    { ...manifest, file: { ...file, bytes: 1e300 } },
    { ...manifest, kind: 'removal', file: undefined, removed: [{ manifest: '../../x.json', sha256: '0'.repeat(64) }] },
    { ...manifest, kind: 'other' },
    // Longer than any manifest has.
    { ...manifest, program: 'x'.repeat(1_000) },
    { ...manifest, written: 'x'.repeat(1_000) },
    { ...manifest, source: { ...manifest.source, database: 'x'.repeat(2_000) } },
    { ...manifest, file: { ...file, first: { time: '', id: 'x'.repeat(1_000) } } },
    { ...manifest, file: { ...file, columns: [{ name: 'id', type: 'x'.repeat(2_000), key: true }] } },
    { ...manifest, file: { ...file, cutoff: 'soon' } },
    null,
    [],
  ]
  for (const lie of lies) {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an invalid path is the point
    const text = textOf(lie as Manifest)
    assert.equal(parseManifest(Buffer.from(text), head!.manifest), undefined, text)
    await writeFile(place, text)
    await fixture.outside.sql(`UPDATE maintenance_archives SET head = '${sha256(text)}'`)
    const result = await purged(fixture.database, folder.path)
    assert.match(String(result.error), /is not a manifest of this format, or of this place/)
    assert.ok(!(await verified(fixture.database, folder.path)).sound)
    await assert.rejects(restored(fixture.database, folder.path), { code: 'ARCHIVE_DAMAGED' })
  }
  assert.equal(await count(fixture.outside, 'audit_logs'), 7)
})

test('a file that was moved to another valid path is not taken for the one that belongs there', async () => {
  await using fixture = await migrated(SQLITE!)
  await using folder = await freshFolder()
  await auditLogs(fixture.outside, SQLITE!, 5, 101)
  await purged(fixture.database, folder.path)
  const [path] = await filesIn(folder.path)
  const aside = path!.replace(/\d{4}\/\d\d\/\d\d/, '2020/01/01')
  await mkdir(join(folder.path, dirname(aside)), { recursive: true })
  for (const suffix of ['.ndjson.zst', '.json'])
    await rename(join(folder.path, path!.replace('.ndjson.zst', suffix)), join(folder.path, aside.replace('.ndjson.zst', suffix)))
  const { problems } = await verified(fixture.database, folder.path)
  assert.deepEqual(
    problems.toSorted(),
    [
      `${aside.replace('.ndjson.zst', '.json')}: is not in the chain, so nothing refers to it`,
      `${path!.replace('.ndjson.zst', '.json')}: is missing`,
    ].toSorted(),
  )
  await assert.rejects(restored(fixture.database, folder.path), { code: 'ARCHIVE_DAMAGED' })
})
