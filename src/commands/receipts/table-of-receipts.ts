import { MaintenanceError } from '../../errors.ts'
import type { Program } from '../../program.ts'
import { receiptsIn } from '../../runs/receipt-book.ts'
import { RECEIPTS } from '../../runs/receipt-tables.ts'

/** For use in SQL. Rejects if no migration has made the table. */
export async function tableOfReceipts({ database }: Program): Promise<string> {
  const table = await receiptsIn(database)
  if (table !== undefined) return table
  throw new MaintenanceError(
    'MIGRATION_REFUSED',
    `This database has no table ${RECEIPTS} yet, so it has no receipt. Nothing was changed. Migration 010_add_receipts makes it. Run: mcp-gateway-maintenance migrate`,
  )
}
