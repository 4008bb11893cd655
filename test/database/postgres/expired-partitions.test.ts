import assert from 'node:assert/strict'
import { test } from 'node:test'
import { expiredParts } from '../../../src/database/postgres/partitioning/expired-partitions.ts'
import { boundOf, type Part, type Tree } from '../../../src/database/postgres/partitioning/tree.ts'
import { cutoffText, type TimeType } from '../../../src/database/postgres/times.ts'
import { DAY } from '../../../src/time/clock.ts'

const CUTOFF = Date.UTC(2026, 5, 1)
const NOW = CUTOFF + 30 * DAY

function part(bound: string, changes: Partial<Part> = {}): Part {
  return { id: '1', schema: 'public', name: bound, kind: 'r', owner: 'gateway', isPending: false, bound: boundOf(bound), ...changes }
}

function range(from: string, to: string): string {
  return `FOR VALUES FROM (${from === 'MINVALUE' ? from : `'${from}'`}) TO (${to === 'MAXVALUE' ? to : `'${to}'`})`
}

interface Asked {
  readonly cutoff: number
  readonly now: number
  readonly type: TimeType
  readonly zone: string
}

function expired(
  parts: readonly Part[],
  { cutoff = CUTOFF, now = NOW, type = 'timestamp', zone = 'UTC' }: Partial<Asked> = {},
): readonly string[] {
  const tree: Tree = {
    id: '2',
    kind: 'p',
    owner: 'gateway',
    isOwner: true,
    type,
    mayBeNull: false,
    isByTime: true,
    parts,
    record: undefined,
    isRecordUnreadable: false,
    unreadable: [],
    detached: [],
  }
  return expiredParts(tree, { schema: 'public' }, cutoffText(cutoff, type, zone), now).map(({ name }) => name)
}

const MAY = range('2026-05-31 00:00:00', '2026-06-01 00:00:00')

test('a partition that ends at the cutoff, or before it, has expired; the earliest comes first', () => {
  const older = range('MINVALUE', '2026-05-31 00:00:00')
  assert.deepEqual(expired([part(MAY), part(older), part(range('2026-06-01 00:00:00', '2026-06-02 00:00:00'))]), [older, MAY])
})

for (const end of ['2026-06-01 00:00:00.000001', '2026-06-01 00:00:00.000999', '2026-06-01 00:00:00.001', 'MAXVALUE'])
  test(`one that ends at ${end} has not`, () => assert.deepEqual(expired([part(range('2026-05-31 00:00:00', end))]), []))

test('a microsecond before the cutoff is before it', () => {
  const bound = range('2026-05-31 00:00:00', '2026-05-31 23:59:59.999999')
  assert.deepEqual(expired([part(bound)]), [bound])
})

for (const [what, changes] of [
  ['a foreign table', { kind: 'f' }],
  ['a partitioned table', { kind: 'p' }],
  ['of another owner', { owner: 'somebody' }],
  ['in another schema', { schema: 'elsewhere' }],
  ['about to be detached by somebody', { isPending: true }],
  ['DEFAULT', { bound: { kind: 'default' } }],
  ['a child by inheritance, or of a list', { bound: { kind: 'other' } }],
] as const)
  test(`one that is ${what} is left alone`, () => assert.deepEqual(expired([part(MAY, changes)]), []))

test('the cutoff is taken as the column reads it', () => {
  // On the clocks of Kiritimati it is fourteen hours later.
  const later = range('2026-05-31 00:00:00', '2026-06-01 14:00:00')
  assert.deepEqual(expired([part(later)]), [])
  assert.deepEqual(expired([part(later)], { zone: 'Pacific/Kiritimati' }), [later])
  assert.deepEqual(expired([part(later)], { zone: 'Pacific/Kiritimati', cutoff: CUTOFF - 1 }), [])
  const zoned = range('2026-05-31 00:00:00+00', '2026-06-01 00:00:00+00')
  assert.deepEqual(expired([part(zoned)], { type: 'timestamptz', zone: 'Pacific/Kiritimati' }), [zoned])
  assert.deepEqual(expired([part(zoned)], { type: 'timestamptz', zone: 'Pacific/Kiritimati', cutoff: CUTOFF - 1 }), [])
})

test('where nothing has expired yet, or rows may still be written, none has', () => {
  assert.deepEqual(expired([part(MAY)], { cutoff: -1e15 }), [])
  assert.deepEqual(expired([part(MAY)], { now: CUTOFF + DAY - 1 }), [])
})
