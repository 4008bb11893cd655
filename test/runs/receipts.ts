import type { Database } from '../../src/database/database.ts'
import { digestOf } from '../../src/receipts/digest.ts'
import type { Signer } from '../../src/receipts/signing.ts'
import { ReceiptBook } from '../../src/runs/receipt-book.ts'
import { RECEIPTS } from '../../src/runs/receipt-tables.ts'
import type { TestDatabase } from '../support/engines.ts'

export function bookOf(database: Database, signer?: Signer): ReceiptBook {
  return new ReceiptBook({ database, worker: 'host-a:1', version: '1.2.3', signer }, database.named(RECEIPTS))
}

export interface Receipt {
  readonly n: number
  readonly kind: string
  readonly run: number | null
  readonly body: string
  readonly sha256: string
  readonly key_id: string | null
  readonly signature: string | null
}

export function receipts(outside: TestDatabase): Promise<Receipt[]> {
  return outside.sql<Receipt>('SELECT * FROM maintenance_receipts ORDER BY n')
}

/** Numbered from 1 without a gap, and each with the digest of the one before it. */
export function isChain(all: readonly Receipt[]): boolean {
  return all.every(({ n, body, sha256 }, index) => {
    const { previous, n: own } = JSON.parse(body) as { readonly previous: string | null; readonly n: number }
    return n === index + 1 && own === n && previous === (all[index - 1]?.sha256 ?? null) && sha256 === digestOf(body)
  })
}
