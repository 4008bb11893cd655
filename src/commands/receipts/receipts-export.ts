import type { ExitCode } from '../../errors.ts'
import { MaintenanceError } from '../../errors.ts'
import type { Program } from '../../program.ts'
import { envelopeLine } from '../../receipts/envelope.ts'
import { parseReceipt } from '../../receipts/receipt.ts'
import { RECEIPTS } from '../../runs/receipt-tables.ts'
import { storedReceipts } from '../../runs/stored-receipts.ts'
import type { EpochMs } from '../../time/clock.ts'
import { tableOfReceipts } from './table-of-receipts.ts'

/** `receipts export`: a line each, in their order. Says nothing of whether they are sound: `receipts verify` does. */
export async function exportReceipts(program: Program, { since }: { readonly since: EpochMs | undefined }): Promise<ExitCode> {
  const { host, database, shutdown } = program
  const table = await tableOfReceipts(program)
  // One without a time that can be read is shown, whatever was asked for.
  let begun = since === undefined
  for await (const { n, signed } of storedReceipts(database, table)) {
    if (shutdown.stopping.aborted) return 1
    if (signed === undefined)
      throw new MaintenanceError('RECEIPTS_DAMAGED', `Receipt ${n} in ${RECEIPTS} is longer than a receipt is. The export ended before it.`)
    // From the first that is new enough on, all: a clock that was set back must leave no gap.
    begun ||= (parseReceipt(signed.text)?.at ?? Infinity) >= (since ?? 0)
    if (begun) host.write(`${envelopeLine(signed)}\n`)
  }
  return 0
}
