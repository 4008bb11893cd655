/** Made by migration 010. */
export const RECEIPTS = 'maintenance_receipts'
/** What it takes to append one. */
export const RECEIPT_RIGHTS = ['SELECT', 'INSERT']
