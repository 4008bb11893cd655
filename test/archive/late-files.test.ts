import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lateFileStaysUntil } from '../../src/archive/late-files.ts'
import { DAY, HOUR } from '../../src/time/clock.ts'

const END_OF_DAY = Date.parse('2026-05-02T00:00:00Z')

/** Of the rows of the first of May, written when the cutoff was so long after the end of that day. */
function staysUntil(lateMs: number, written = '2026-09-01T03:00:00.000Z'): number | undefined {
  return lateFileStaysUntil({ day: '2026-05-01', written, cutoff: new Date(END_OF_DAY + lateMs).toISOString() })
}

test('a file of rows that had expired in the last two days goes when its time has come', () => {
  for (const lateMs of [-20 * HOUR, 0, DAY, 2 * DAY]) assert.equal(staysUntil(lateMs), undefined, String(lateMs))
})

test('a file of rows that had expired earlier stays until 30 days after it was written', () => {
  for (const lateMs of [2 * DAY + 1, 30 * DAY, 3_000 * DAY])
    assert.equal(staysUntil(lateMs), Date.parse('2026-09-01T03:00:00.000Z') + 30 * DAY, String(lateMs))
})

test('a file whose manifest does not tell when it was written does not stay for ever', () => {
  assert.equal(staysUntil(30 * DAY, 'yesterday'), undefined)
})

test('rows of years before the first, and far from now, are judged as others', () => {
  const written = '2026-09-01T03:00:00.000Z'
  const late = lateFileStaysUntil({ day: '-000043-03-15', written, cutoff: '2026-06-03T03:00:00.000Z' })
  assert.equal(late, Date.parse(written) + 30 * DAY)
})
