import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { partitionName } from '../../../src/database/postgres/partitioning/days.ts'
import { gapsBetween, lastEnd, nextMidnight } from '../../../src/database/postgres/partitioning/gaps.ts'
import { boundOf, boundTime, type Part } from '../../../src/database/postgres/partitioning/tree.ts'
import { DAY, HOUR } from '../../../src/time/clock.ts'

const START = Date.UTC(2026, 11, 1)

function edge(text: string): string {
  return text.startsWith('M') ? text : `'${text}'`
}

function textOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace('T', ' ')
}

function part(from: string, to: string): Part {
  return {
    id: '1',
    schema: 'public',
    name: 'any',
    kind: 'r',
    owner: 'o',
    isPending: false,
    bound: boundOf(`FOR VALUES FROM (${edge(from)}) TO (${edge(to)})`),
  }
}

function gaps(parts: readonly Part[], hours: number, type: 'timestamp' | 'timestamptz' = 'timestamp'): readonly string[] {
  return gapsBetween(parts, START + 5 * HOUR, START + hours * HOUR, type).map(({ from, to }) => `${from.text} to ${to.text}`)
}

describe('which days have no partition', () => {
  it('every day from the beginning of the first, where there is none', () => {
    assert.deepEqual(gaps([], 48), ['2026-12-01 00:00:00 to 2026-12-02 00:00:00', '2026-12-02 00:00:00 to 2026-12-03 00:00:00'])
    assert.deepEqual(gaps([], 24, 'timestamptz'), ['2026-12-01 00:00:00+00 to 2026-12-02 00:00:00+00'])
  })

  it('those after the last end, from there to the next midnight first', () => {
    const parts = [part('MINVALUE', '2026-12-01 00:00:00'), part('2026-12-01 00:00:00', '2026-12-02 06:30:00')]
    assert.deepEqual(gaps(parts, 72), ['2026-12-02 06:30:00 to 2026-12-03 00:00:00', '2026-12-03 00:00:00 to 2026-12-04 00:00:00'])
  })

  it('a gap is filled from bound to bound, whatever the width of those beside it, and the order of what is given', () => {
    const parts = [
      part('2026-12-03 12:00:00.000001', 'MAXVALUE'),
      part('MINVALUE', '2026-12-01 18:00:00.25'),
      part('2026-11-01 00:00:00', '2026-12-01 00:00:00'),
    ]
    assert.deepEqual(gaps(parts, 240), [
      '2026-12-01 18:00:00.25 to 2026-12-02 00:00:00',
      '2026-12-02 00:00:00 to 2026-12-03 00:00:00',
      '2026-12-03 00:00:00 to 2026-12-03 12:00:00.000001',
    ])
  })

  it('DEFAULT, lists and what is covered already leave none', () => {
    assert.deepEqual(gaps([part('MINVALUE', 'MAXVALUE')], 48), [])
    const other: Part = { ...part('MINVALUE', 'MAXVALUE'), bound: { kind: 'other' } }
    assert.equal(gaps([other, { ...other, bound: { kind: 'default' } }], 24).length, 1)
    assert.equal(lastEnd([other]), undefined)
    assert.equal(lastEnd([part('MINVALUE', 'MAXVALUE')]), Infinity)
  })

  it('whatever partitions there are, they and the gaps cover the window without overlapping', () => {
    const reading = fc.integer({ min: 0, max: 20 * 24 }).map((hour) => START - DAY + hour * HOUR)
    const shape = fc.uniqueArray(reading, { minLength: 2, maxLength: 12 }).map((edges) => edges.toSorted((a, b) => a - b))
    fc.assert(
      fc.property(
        shape,
        fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }),
        fc.integer({ min: 1, max: 19 }),
        (edges, there, days) => {
          const parts = edges.slice(1).flatMap((to, at) => (there[at] === true ? [part(textOf(edges[at]!), textOf(to))] : []))
          const until = START + days * DAY
          const found = gapsBetween(parts, START + HOUR, until, 'timestamp')
          for (let at = START; at < until; at += HOUR) {
            const covers = ({ from, to }: { from?: { reading: number } | undefined; to?: { reading: number } | undefined }): boolean =>
              from!.reading <= at && at < to!.reading
            const takenBy = parts.filter(({ bound }) => bound.kind === 'range' && covers(bound)).length + found.filter(covers).length
            assert.equal(takenBy, 1, textOf(at))
          }
          assert.ok(found.every(({ from, to }) => to.reading <= nextMidnight(from.reading + 1)))
        },
      ),
    )
  })
})

describe('the name of a partition', () => {
  it('has the time of day only where it does not begin at midnight', () => {
    for (const [from, name] of [
      ['2026-12-01 00:00:00', 'audit_logs_p20261201'],
      ['2026-12-01 00:00:00+00', 'audit_logs_p20261201'],
      ['2026-12-01 06:30:00', 'audit_logs_p20261201_063000'],
      ['2026-12-01 00:00:00.5', 'audit_logs_p20261201_000000500000'],
    ])
      assert.equal(partitionName('audit_logs', boundTime(from!)!), name)
    assert.equal(partitionName('audit_logs', START), 'audit_logs_p20261201')
  })
})
