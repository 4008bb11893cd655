import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FORMAT, LONGEST, MOST_LINKS, MOST_NAMED } from '../../src/archive/format.ts'
import { parseManifest } from '../../src/archive/manifest.ts'
import { archivePath } from '../../src/archive/store/path.ts'

const PATH = archivePath('audit_logs/2026/08/25/17-3.json', 'audit_logs', 'a test')
const FILE = 'audit_logs/2025/08/25/3-1.json'

/** What is read of a removal that has this list of kept files; `null`: it is refused. */
function keptOf(kept: unknown): unknown {
  const text = JSON.stringify({
    format: FORMAT,
    kind: 'removal',
    manifest: PATH,
    position: 3,
    previous: null,
    source: { table: 'audit_logs', timeColumn: 'timestamp', engine: 'sqlite', database: 'd' },
    run: 17,
    program: '1.2.3',
    written: '2026-08-25T03:00:00.000Z',
    removed: [],
    kept,
  })
  const manifest = parseManifest(Buffer.from(text), PATH)
  return manifest?.kind === 'removal' ? manifest.kept : null
}

test('a removal of an earlier version says nothing of kept files, and is read', () => {
  assert.equal(keptOf(undefined), undefined)
})

test('the kept files of a removal are read with the names of the holds, and nothing else', () => {
  assert.deepEqual(keptOf([{ manifest: FILE, holds: ['case 7', 'case 8'], more: 1 }]), [{ manifest: FILE, holds: ['case 7', 'case 8'] }])
})

test('a removal with more, longer or other things in its list of kept files than a run writes is no manifest', () => {
  const file = { manifest: FILE, holds: ['case 7'] }
  for (const kept of [
    'all',
    [FILE],
    [{ ...file, manifest: 'audit_logs/2025/08/25/3-1.ndjson.zst' }],
    [{ ...file, manifest: '../3-1.json' }],
    [{ ...file, holds: 'case 7' }],
    [{ ...file, holds: Array.from({ length: MOST_NAMED + 1 }, () => 'case 7') }],
    [{ ...file, holds: ['x'.repeat(LONGEST.hold + 1)] }],
    Array.from({ length: MOST_LINKS + 1 }, () => file),
  ])
    assert.equal(keptOf(kept), null, JSON.stringify(kept).slice(0, 80))
})
