import { formatTime, type EpochMs } from '../time/clock.ts'
import { isDigest } from './digest.ts'

/** The version of the texts below. */
const FORMAT = 1

/** The longest text of a receipt, in bytes: a policy with its rules may have 64 KiB, and each of the holds that are named some hundred bytes. */
export const MOST_RECEIPT_BYTES = 256 * 2 ** 10

/** Holds that a receipt names; more are counted. */
export const MOST_RECEIPT_HOLDS = 500

export const KINDS = ['purge', 'removal', 'reconciliation', 'hold-placed', 'hold-released'] as const
export type ReceiptKind = (typeof KINDS)[number]

/** What happened, as a receipt says it. Times are ISO 8601 in UTC; null: not known, or none. */
export type ReceiptFacts = PurgeFacts | RemovalFacts | ReconciliationFacts | HoldFacts

/** A run that was allowed to delete, whether or not it deleted. */
export interface PurgeFacts {
  readonly kind: 'purge'
  readonly job: string
  /** `maintenance_runs.id` */
  readonly run: number
  readonly trigger: string
  /** That ran it; the receipt of a killed run is written by another. */
  readonly ranOn: string
  readonly startedAt: string
  readonly finishedAt: string | null
  readonly outcome: string
  /** Rows with a time before it had expired. */
  readonly cutoff: string | null
  readonly retention: string
  /** `maintenance_policies.sha256`, and the rules of that text. */
  readonly policy: { readonly sha256: string; readonly rules: unknown } | null
  readonly rows: {
    readonly deleted: number
    /** Expired rows that holds kept; null: the run ended before they were counted. */
    readonly held: number | null
    readonly undated: number
    readonly unreadable: number
    readonly locked: number
  }
  /** Those in force at its end. */
  readonly holds: readonly ReceiptHold[]
  /** Holds that are not named here, because they are too many. */
  readonly moreHolds: number
  /** The newest manifest of the archive by then, and what the run added to it. */
  readonly archive: {
    readonly head: string
    readonly sha256: string
    readonly files: number
    readonly rows: number
  } | null
}

export interface ReceiptHold {
  readonly id: number
  readonly name: string
  /** Of what it keeps, as `maintenance_holds.matches` has it: that may name persons. */
  readonly sha256: string
  readonly rows: number | null
}

/** Files of the archive that a run has begun to remove: whatever happens, it is ended. */
export interface RemovalFacts {
  readonly kind: 'removal'
  readonly job: string
  readonly run: number
  /** Of the archive, which names the removed files. */
  readonly manifest: string
  readonly sha256: string
  readonly files: number
  readonly rows: number
  readonly bytes: number
}

/** What `archive reconcile` has taken into the archive's chain, or set aside. */
export interface ReconciliationFacts {
  readonly kind: 'reconciliation'
  readonly job: string
  readonly manifest: string
  readonly sha256: string
  readonly files: number
  readonly rows: number
}

export interface HoldFacts {
  readonly kind: 'hold-placed' | 'hold-released'
  readonly job: string
  readonly hold: Pick<ReceiptHold, 'id' | 'name' | 'sha256'>
  readonly by: string
  readonly reason: string
}

/** What every receipt has besides. */
export interface ReceiptFrame {
  readonly n: number
  /** The digest of the receipt before it; null: it is the first. */
  readonly previous: string | null
  readonly at: EpochMs
  readonly database: { readonly engine: string; readonly name: string }
  /** That wrote it: `host:process`. */
  readonly worker: string
  readonly version: string
}

/** By which a receipt is known outside the database: in a log that leaves the machine. */
export interface ReceiptMark {
  readonly n: number
  readonly sha256: string
}

/** A receipt that was read. Beyond this, its content is for people. */
export interface ReadReceipt {
  readonly n: number
  readonly previous: string | null
  readonly kind: string
  readonly at: EpochMs
  readonly body: Readonly<Record<string, unknown>>
}

/** As JSON in ASCII, which a database of any encoding keeps as it is. */
export function receiptText({ at, ...frame }: ReceiptFrame, { kind, ...facts }: ReceiptFacts): string {
  const { n, previous, ...others } = frame
  const text = JSON.stringify({ format: FORMAT, n, previous, kind, at: formatTime(at), ...others, ...facts })
  return text.replaceAll(/[^\u0020-\u007e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** `undefined`: no receipt of this format. */
export function parseReceipt(text: string): ReadReceipt | undefined {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return undefined
  }
  if (!isObject(body)) return undefined
  const { format, n, previous, kind, at } = body
  if (format !== FORMAT || typeof n !== 'number' || !Number.isSafeInteger(n) || n < 1) return undefined
  if (previous !== null && !(typeof previous === 'string' && isDigest(previous))) return undefined
  const time = typeof at === 'string' ? Date.parse(at) : NaN
  if (typeof kind !== 'string' || Number.isNaN(time)) return undefined
  return { n, previous, kind, at: time, body }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
