import { randomOf } from '../../faults/random.ts'
import type { Operation } from './request.ts'

/** What goes wrong with a request that is right. */
export type Fault =
  /** The connection is destroyed: before anything is done, while the body arrives, or when all is done and only the answer is missing. */
  | { readonly kind: 'lost'; readonly when: 'before' | 'during' | 'after' }
  /**
   * A PUT that has arrived as a whole takes effect later, also if its client has died: after this time, or when `land()` is called. The client is
   * kept waiting until then, or has lost its connection.
   */
  | { readonly kind: 'late'; readonly client: 'waits' | 'loses'; readonly afterMs?: number }
  | { readonly kind: 'error'; readonly status: number; readonly code: string; readonly message?: string }
  | { readonly kind: 'redirect'; readonly region: string }
  /** The server's clock is off by this. */
  | { readonly kind: 'skewed'; readonly ms: number }
  /** Of a GET: the connection is destroyed after half the body. */
  | { readonly kind: 'truncated' }
  /** Of a GET: half the body, and headers that say that it is all. */
  | { readonly kind: 'shortened' }
  /** Of a GET: one bit of the body is another. */
  | { readonly kind: 'altered' }
  /** It is never answered, or the answer never ends. Neither does anything. */
  | { readonly kind: 'silent' }
  | { readonly kind: 'endless' }
  /** What something else than an object store answers. Nothing is done. */
  | { readonly kind: 'nonsense'; readonly status?: number; readonly body: keyof typeof NONSENSE }

/** Values for `kind: 'nonsense'`, as what they are. */
export const NONSENSE = {
  html: ['text/html', () => '<!DOCTYPE html><html><head><title>Sign in</title></head><body>Proxy authentication required</body></html>'],
  empty: ['application/xml', () => ''],
  cut: ['application/xml', () => '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult><Name>arch'],
  huge: ['application/xml', () => `<ListBucketResult>${'<Contents><Key>x</Key></Contents>'.repeat(100_000)}</ListBucketResult>`],
  entities: ['application/xml', billionLaughs],
} as const satisfies Readonly<Record<string, readonly [type: string, text: () => string]>>

/** Entities that grow to gigabytes, and one that is a file of the client's. */
function billionLaughs(): string {
  const levels = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((level) => `<!ENTITY e${level} "${`&e${level - 1};`.repeat(10)}">`)
  const entities = `<!ENTITY e0 "lol"><!ENTITY file SYSTEM "file:///etc/passwd">${levels.join('')}`
  return `<?xml version="1.0"?><!DOCTYPE r [${entities}]><ListBucketResult><Name>&file;</Name><Contents><Key>&e9;</Key></Contents></ListBucketResult>`
}

/** Errors of S3, as they come where nobody has made a mistake. */
export const ERRORS = {
  slowDown: { kind: 'error', status: 503, code: 'SlowDown', message: 'Please reduce your request rate.' },
  internal: { kind: 'error', status: 500, code: 'InternalError', message: 'We encountered an internal error. Please try again.' },
  conflict: { kind: 'error', status: 409, code: 'ConditionalRequestConflict' },
  accessDenied: { kind: 'error', status: 403, code: 'AccessDenied', message: 'Access Denied' },
  objectLocked: { kind: 'error', status: 403, code: 'AccessDenied', message: 'Access Denied because object protected by object lock.' },
  expiredToken: { kind: 'error', status: 400, code: 'ExpiredToken', message: 'The provided token has expired.' },
  noSuchBucket: { kind: 'error', status: 404, code: 'NoSuchBucket', message: 'The specified bucket does not exist' },
} as const satisfies Readonly<Record<string, Fault>>

/** Which requests a fault meets. Plain data, so that a program can be started with it. */
export interface FaultRule {
  readonly fault: Fault
  /** Every operation, if there is none. */
  readonly operations?: readonly Operation[]
  /** A regular expression for the key. */
  readonly key?: string
  /** The first of the requests that fit, from 1. */
  readonly from?: number
  /** How many of them from there on; all, if there is none. */
  readonly times?: number
  /** From 0 to 1, which of them, chosen by the seed. */
  readonly share?: number
}

export interface Target {
  readonly operation: Operation
  readonly key: string
}

export class Faults {
  readonly #seed: number
  #rules: { readonly rule: FaultRule; met: number }[] = []
  readonly #attempts = new Map<string, number>()

  constructor(seed: number, rules: readonly FaultRule[]) {
    this.#seed = seed
    this.add(...rules)
  }

  add(...rules: readonly FaultRule[]): void {
    this.#rules.push(...rules.map((rule) => ({ rule, met: 0 })))
  }

  /** Requests that wait for their fault go on waiting. */
  clear(): void {
    this.#rules = []
  }

  /** The first rule that fits decides. With shares the same attempt at the same thing fails the same way, in whatever order requests come. */
  choose({ operation, key }: Target): Fault | undefined {
    const thing = `${operation} ${key}`
    const attempt = (this.#attempts.get(thing) ?? 0) + 1
    this.#attempts.set(thing, attempt)
    for (const [index, each] of this.#rules.entries()) {
      const { operations, key: form, from = 1, times = Infinity, share = 1, fault } = each.rule
      if (operations?.includes(operation) === false || (form !== undefined && !new RegExp(form).test(key))) continue
      each.met += 1
      if (each.met < from || each.met >= from + times) continue
      if (share === 1 || randomOf(this.#seed, `${index} ${thing} ${attempt}`).fraction() < share) return fault
    }
    return undefined
  }
}

/** Everything that passes by itself, each in this share of the requests that it can meet. */
export function passingFaults(share: number): readonly FaultRule[] {
  const written: readonly Operation[] = ['PutObject', 'CopyObject', 'DeleteObject', 'DeleteObjects']
  return [
    { share, fault: { kind: 'lost', when: 'after' }, operations: written },
    { share, fault: { kind: 'lost', when: 'before' } },
    { share, fault: { kind: 'lost', when: 'during' }, operations: ['PutObject'] },
    { share, fault: ERRORS.slowDown },
    { share, fault: ERRORS.internal },
    { share, fault: ERRORS.conflict, operations: ['PutObject'] },
    { share, fault: { kind: 'truncated' }, operations: ['GetObject'] },
  ]
}
