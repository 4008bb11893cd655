import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NOTHING_DONE, type RunResult } from '../../src/runs/result.ts'
import { historyText } from '../../src/terminal/history-text.ts'
import { summaryText } from '../../src/terminal/summary.ts'
import { ranOnce } from '../status/made-up.ts'

const RESULT: RunResult = {
  ...NOTHING_DONE,
  job: 'purge-audit-logs',
  trigger: 'run-now',
  dryRun: false,
  outcome: 'succeeded',
  reason: undefined,
  durationMs: 40,
}

const style = (columns: number) => ({ control: false, unicode: false, columns })

describe('held rows in tables', () => {
  it('the table at the end of a run counts held rows as kept, and says by how many holds', () => {
    const one = summaryText([{ ...RESULT, deleted: 5, held: 12, holds: 1, locked: 3 }], false, style(80))
    assert.match(one, /deleted {2}kept/)
    assert.match(one, /purge-audit-logs {8}5 {4}15 /)
    assert.match(one, /purge-audit-logs kept 12 by a legal hold, 3 locked by another transaction\n/)
    const dry = summaryText([{ ...RESULT, dryRun: true, expired: 7, held: 100_000, holds: 2 }], true, style(80))
    assert.match(dry, /would delete {5}kept/)
    assert.match(dry, /7 {2}100,000/)
    assert.match(dry, /kept 100,000 by 2 legal holds\n/)
  })

  it('the history has a column of held rows if there were any', () => {
    const ran = ranOnce({ job: 'purge-audit-logs', outcome: 'succeeded', startedAt: 0, finishedAt: 1_000 })
    const lines = historyText([ran, { ...ran, held: 100_000 }], 0, style(Infinity)).split('\n')
    assert.match(lines[0]!, /deleted {5}held /)
    assert.match(lines[3]!, / 100,000 /)
    assert.doesNotMatch(historyText([ran], 0, style(Infinity)), /held/)
  })
})
