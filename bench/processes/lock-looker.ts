import { watchLocks, type LockWatch } from '../../test/support/lock-watch.ts'
import { serveParent } from './child.ts'

/** Looks who locks everybody out, in a process of its own, so that nothing else delays the looks. */
export type Question =
  | { readonly ask: 'begin'; readonly url: string }
  /** Answered with each `LockedSpan`. */
  | { readonly ask: 'end' }

let watch: LockWatch | undefined

serveParent(async (question: Question): Promise<unknown> => {
  switch (question.ask) {
    case 'begin':
      watch = await watchLocks(question.url)
      return undefined
    case 'end':
      return await watch?.end()
    default:
      return question satisfies never
  }
})
