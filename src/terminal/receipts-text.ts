import { counted, countText } from '../number-text.ts'
import type { ChainVerdict } from '../receipts/receipt-chain.ts'
import { minuteText } from '../time/time-text.ts'

const KINDS: Readonly<Record<string, readonly [one: string, many: string]>> = {
  purge: ['purge', 'purges'],
  removal: ['removal from the archive', 'removals from the archive'],
  reconciliation: ['reconciliation', 'reconciliations'],
  'hold-placed': ['hold placed', 'holds placed'],
  'hold-released': ['hold released', 'holds released'],
}

/** What `receipts verify` has found: a line a problem, then the verdict. `keys`: how many were given. */
export function receiptsText(verdict: ChainVerdict, kinds: ReadonlyMap<string, number>, keys: number): string {
  const { receipts, first, last, problems } = verdict
  const lines = [...problems]
  if (first === undefined || last === undefined)
    lines.push(receipts === 0 ? 'There is no receipt yet.' : counted(problems.length, 'problem'))
  else {
    const range = first.n === last.n ? `receipt ${first.n}` : `receipts ${countText(first.n)} to ${countText(last.n)}`
    const what = [...kinds].map(([kind, count]) => kindText(kind, count)).join(', ')
    const head = problems.length === 0 ? 'sound' : counted(problems.length, 'problem')
    lines.push(
      `${head}: ${range}, ${minuteText(first.at)} to ${minuteText(last.at)} UTC: ${what}`,
      signaturesText(verdict, keys),
      `The last one has the digest ${last.sha256}`,
    )
  }
  return `${lines.join('\n')}\n`
}

function kindText(kind: string, count: number): string {
  const [one, many] = KINDS[kind] ?? [
    `of the kind ${JSON.stringify(kind.slice(0, 40))}`,
    `of the kind ${JSON.stringify(kind.slice(0, 40))}`,
  ]
  return `${countText(count)} ${count === 1 ? one : many}`
}

function signaturesText({ receipts, signed, unchecked }: ChainVerdict, keys: number): string {
  if (signed === 0) return 'None of them is signed: whoever may write to the database could write all of them anew.'
  const unsigned = signed === receipts ? '' : `; ${counted(receipts - signed, 'earlier one is', 'earlier ones are')} not signed`
  if (unchecked > 0)
    return `${counted(signed, 'receipt is', 'receipts are')} signed, and no signature was checked: add --key with the public key${unsigned}.`
  return `${counted(signed, 'receipt is', 'receipts are')} signed, checked with ${counted(keys, 'key')}${unsigned}.`
}
