import { resolve } from 'node:path'
import { MaintenanceError, messageOf } from '../../errors.ts'
import { readGiven } from '../../files.ts'
import type { Start, Program } from '../../program.ts'
import { signerOf, type Signer } from '../../receipts/signing.ts'
import { ReceiptBook, receiptsIn } from '../../runs/receipt-book.ts'

/** The receipts of this database, to which a command appends; `undefined`: no migration has made their table yet. */
export async function receiptBookOf(program: Program): Promise<ReceiptBook | undefined> {
  const { host, database } = program
  const signer = configuredSigner(program)
  const table = await receiptsIn(database)
  return table === undefined ? undefined : new ReceiptBook({ database, worker: host.worker, version: host.version, signer }, table)
}

/** `undefined`: receipts are not signed. Throws if the configured key cannot be used: receipts that were to be signed are not written without. */
export function configuredSigner({ host, settings }: Start): Signer | undefined {
  const { keyFile } = settings.receipts
  if (keyFile === undefined) return undefined
  const path = resolve(host.workingDirectory, keyFile)
  let pem: Buffer
  try {
    pem = readGiven(path)
  } catch (error) {
    throw unusable(`the key of the receipts cannot be read: ${messageOf(error)}`)
  }
  const signer = signerOf(pem)
  if (signer === undefined) throw unusable(`${path} is no private ed25519 key in PEM without a passphrase`)
  return signer
}

function unusable(why: string): MaintenanceError {
  return new MaintenanceError(
    'CONFIG_INVALID',
    `receipts.keyFile (RECEIPTS_KEY_FILE): ${why}. Nothing was done. A new key is made with: openssl genpkey -algorithm ed25519 -out receipts.pem`,
  )
}
