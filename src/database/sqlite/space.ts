import { countText, sizeText } from '../../number-text.ts'
import type { Space } from '../space-keeping.ts'
import type { Connection } from './connection/connection.ts'

/** The value of `PRAGMA auto_vacuum` in which free pages can be given back one by one. */
export const INCREMENTAL = 2
/** Less is not worth a word. */
const WORTH_A_WORD_BYTES = 64 * 2 ** 20
/** Of the file. */
const WORTH_A_WORD_SHARE = 0.25
/**
 * Of the pages in use. With a retention of 90 days, a day of the gateway's rows fills about a ninetieth: some days fit, so that the file neither shrinks at night
 * to grow again by day, nor stays as large as its greatest backlog.
 */
const RESERVE_SHARE = 0.05
const LEAST_RESERVE_PAGES = 256

/** How many free pages are kept for the rows of the next days. */
export function reservePages(pages: number, free: number): number {
  return Math.max(LEAST_RESERVE_PAGES, Math.ceil((pages - free) * RESERVE_SHARE))
}

export function pageCounts(connection: Connection): { readonly pages: number; readonly free: number; readonly pageBytes: number } {
  const [pages, free, pageBytes] = ['page_count', 'freelist_count', 'page_size'].map((pragma) => connection.figure(`PRAGMA main.${pragma}`))
  return { pages: pages!, free: free!, pageBytes: pageBytes! }
}

export function givesBack(connection: Connection): boolean {
  return connection.figure('PRAGMA main.auto_vacuum') === INCREMENTAL
}

export function space(connection: Connection): Space {
  const { pages, free, pageBytes } = pageCounts(connection)
  const [bytes, freeBytes] = [pages * pageBytes, free * pageBytes]
  const stays = freeBytes >= WORTH_A_WORD_BYTES && free >= pages * WORTH_A_WORD_SHARE && !givesBack(connection)
  const advice = stays
    ? [
        `${sizeText(freeBytes)} of ${connection.file} (${countText(Math.floor((100 * free) / pages))} %) are free, and are not given back to the disk: SQLite fills them with later rows. ` +
          'To give them back, run "mcp-gateway-maintenance compact --dry-run", and then compact in a quiet hour; from then on each purge gives pages back',
      ]
    : []
  return { bytes, freeBytes, deadRows: undefined, advice }
}
