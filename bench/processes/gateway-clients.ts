import { INSERT, READS, startReader, startWriter, type Calls, type Traffic, type Written } from '../../test/support/traffic.ts'
import { serveParent } from './child.ts'

/** A gateway as its drivers speak: named prepared statements on connections that stay open, one that writes and one that reads. */
export type Question =
  | { readonly ask: 'begin'; readonly url: string; readonly perSecond: number }
  /** Answered with a `Gateway`. */
  | { readonly ask: 'end' }

export interface Gateway {
  readonly writer: Written
  readonly reader: Calls
}

const READ_EVERY_MS = 50

let writer: Traffic<Written> | undefined
let reader: Traffic<Calls> | undefined

serveParent(async (question: Question): Promise<unknown> => {
  switch (question.ask) {
    case 'begin':
      writer = await startWriter(question.url, INSERT, question.perSecond)
      reader = await startReader(question.url, READS, READ_EVERY_MS)
      return undefined
    case 'end':
      return { writer: await writer?.end(), reader: await reader?.end() }
    default:
      return question satisfies never
  }
})
