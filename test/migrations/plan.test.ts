import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseFileName } from '../../src/migrations/file-names.ts'
import type { LedgerRow } from '../../src/migrations/ledger.ts'
import { checksumOf, migrationFile, type MigrationFile } from '../../src/migrations/migration-files.ts'
import { planMigrations } from '../../src/migrations/plan.ts'

function file(version: number, name: string, text = `-- ${name}\n`): MigrationFile {
  return migrationFile(parseFileName(`${String(version).padStart(3, '0')}_${name}.sql`)!, text)
}

function row(version: number, name: string, text = `-- ${name}\n`): LedgerRow {
  return { version, name, checksum: checksumOf(text), appliedAt: Date.UTC(2026, 2, 1), durationMs: 5, appVersion: '0.9.1' }
}

const FILES = [file(1, 'a'), file(2, 'b'), file(3, 'c')]
const pendingOf = (ledger: LedgerRow[]): unknown => {
  const plan = planMigrations(FILES, ledger)
  return plan.kind === 'ready' ? plan.pending.map(({ version }) => version) : plan.problems
}

describe('the plan', () => {
  it('the plan is everything if nothing was applied', () => assert.deepEqual(pendingOf([]), [1, 2, 3]))
  it('the plan is the rest if some were applied', () => assert.deepEqual(pendingOf([row(1, 'a'), row(2, 'b')]), [3]))
  it('the plan is empty if all were applied', () => assert.deepEqual(pendingOf([row(3, 'c'), row(1, 'a'), row(2, 'b')]), []))

  const refusals: [string, LedgerRow[], RegExp[]][] = [
    [
      'an applied file that was changed',
      [row(1, 'a', 'before'), row(2, 'b')],
      [/^migrations\/001_a\.sql was changed after it was applied on 2026-03-01T00:00:00\.000Z by version 0\.9\.1\. Restore the file/],
    ],
    [
      'an applied file that is gone',
      [row(0, 'zero'), row(1, 'a')],
      [/^Migration 000_zero was applied on 2026-03-01T00:00:00\.000Z by version 0\.9\.1, but its file is missing\. Restore the file/],
    ],
    [
      'an applied file whose number another one took',
      [row(1, 'a'), row(2, 'other')],
      [/^Migration 002_other was applied on .* but its file is missing, and migrations\/002_b\.sql has its number/],
    ],
    [
      'a pending file below an applied one',
      [row(1, 'a'), row(3, 'c')],
      [
        /^migrations\/002_b\.sql was never applied here, but the later 003_c was, on .* by version 0\.9\.1\. If that file is new, renumber it to 004\.$/,
      ],
    ],
    [
      'a database newer than the build',
      [row(1, 'a'), row(2, 'b'), row(3, 'c'), row(4, 'd'), { ...row(5, 'e'), appVersion: '1.4.0' }],
      [
        /^The database is newer than this build, which knows migrations up to 003\. The database also has 004_d \(applied on .*\), 005_e .*\. Use version 1\.4\.0 or later\.$/,
      ],
    ],
    [
      'everything at once',
      [row(1, 'a', 'x'), row(2, 'b', 'y'), row(9, 'z')],
      [/001_a\.sql was changed/, /002_b\.sql was changed/, /newer than this build/],
    ],
  ]
  for (const [name, ledger, expected] of refusals) {
    it(`the plan refuses ${name}`, () => {
      const plan = planMigrations(FILES, ledger)
      assert.ok(plan.kind === 'refused')
      assert.equal(plan.problems.length, expected.length, plan.problems.join('\n'))
      for (const [index, pattern] of expected.entries()) assert.match(plan.problems[index] ?? '', pattern)
    })
  }
})
