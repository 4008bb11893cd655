import type { EpochMs } from '../time/clock.ts'
import type { SignedText } from './envelope.ts'
import { digestOf } from './digest.ts'
import { parseReceipt, type ReadReceipt } from './receipt.ts'
import type { Verifier } from './signing.ts'

/** What a chain came to, from the first receipt that was given to the last. */
export interface ChainVerdict {
  readonly receipts: number
  readonly first: ChainEnd | undefined
  readonly last: ChainEnd | undefined
  readonly signed: number
  /** Signatures that were not checked because no key was given. */
  readonly unchecked: number
  /** Each begins with where. */
  readonly problems: readonly string[]
}

export interface ChainEnd {
  readonly n: number
  readonly at: EpochMs
  readonly sha256: string
}

/** More of them are one cause. */
const MOST_PROBLEMS = 100

/**
 * Checks receipts in the order in which they are given. Without a key, whoever may write to the file can write all of them anew; with one, not those that are
 * signed. Receipts that are missing at the end show only where their digest is known from elsewhere: `expect`.
 */
export class ChainCheck {
  readonly #keys: readonly Verifier[]
  readonly #expected: Set<string>
  readonly #problems: string[] = []
  #receipts = 0
  #signed = 0
  #unchecked = 0
  #first: ChainEnd | undefined
  #last: ChainEnd | undefined
  #lastSigned: number | undefined

  constructor({ keys, expect }: { readonly keys: readonly Verifier[]; readonly expect: readonly string[] }) {
    this.#keys = keys
    this.#expected = new Set(expect)
  }

  /** `where`: as people find it: `line 3`; empty: by its number alone. `stored`: the digest that stands beside it, where one does. Returns what was read. */
  add(where: string, { text, signature }: SignedText, stored?: string): ReadReceipt | undefined {
    this.#receipts += 1
    const receipt = parseReceipt(text)
    if (receipt === undefined) {
      this.#problem(where, 'is no receipt of this format')
      return undefined
    }
    const { n, previous, at } = receipt
    const sha256 = digestOf(text)
    const last = this.#last
    if (stored !== undefined && stored !== sha256)
      this.#problem(where, `receipt ${n} was changed: its text does not have the digest that is recorded with it`)
    if (last !== undefined) this.#follow(where, receipt, last)
    else if (n === 1 && previous !== null) this.#problem(where, 'receipt 1 follows another one, which is missing')
    else if (n > 1 && previous === null) this.#problem(where, `receipt ${n} follows none, although its number is not 1`)
    this.#checkSignature(where, n, text, signature)
    this.#expected.delete(sha256)
    this.#first ??= { n, at, sha256 }
    this.#last = { n, at, sha256 }
    return receipt
  }

  /** A line that is no receipt at all. */
  addUnreadable(where: string, why: string): void {
    this.#receipts += 1
    this.#problem(where, why)
  }

  end(): ChainVerdict {
    for (const digest of this.#expected)
      this.#problems.push(
        `no receipt has the digest ${digest}, which was expected: it was removed or changed, or the database is older than that receipt`,
      )
    return {
      receipts: this.#receipts,
      first: this.#first,
      last: this.#last,
      signed: this.#signed,
      unchecked: this.#unchecked,
      problems: this.#problems,
    }
  }

  #follow(where: string, { n, previous }: ReadReceipt, last: ChainEnd): void {
    if (n === last.n) return this.#problem(where, `receipt ${n} stands there twice`)
    if (n < last.n)
      return this.#problem(where, `receipt ${n} comes after receipt ${last.n}: they are in another order than they were written in`)
    if (n > last.n + 1) {
      const missing = n - last.n === 2 ? `receipt ${n - 1} is missing` : `receipts ${last.n + 1} to ${n - 1} are missing`
      return this.#problem(where, `${missing} before receipt ${n}`)
    }
    if (previous !== last.sha256)
      this.#problem(where, `receipt ${n} does not follow from receipt ${last.n} as it is: one of the two was changed`)
  }

  #checkSignature(where: string, n: number, text: string, signature: SignedText['signature']): void {
    if (signature === undefined) {
      if (this.#lastSigned !== undefined) this.#problem(where, `receipt ${n} is not signed, and receipt ${this.#lastSigned} before it is`)
      return
    }
    this.#signed += 1
    this.#lastSigned = n
    if (this.#keys.length === 0) {
      this.#unchecked += 1
      return
    }
    // The key's name is a hint that somebody may have changed.
    if (this.#keys.some((key) => key.isValid(text, signature))) return
    const known = this.#keys.some(({ keyId }) => keyId === signature.keyId)
    this.#problem(
      where,
      known
        ? `the signature of receipt ${n} is not that of its text: one of the two was changed`
        : `receipt ${n} is signed with the key ${JSON.stringify(signature.keyId.slice(0, 40))}, which was not given`,
    )
  }

  #problem(where: string, problem: string): void {
    if (this.#problems.length < MOST_PROBLEMS) this.#problems.push(where === '' ? problem : `${where}: ${problem}`)
    else if (this.#problems.length === MOST_PROBLEMS) this.#problems.push('more of them were found, and are not named')
  }
}
