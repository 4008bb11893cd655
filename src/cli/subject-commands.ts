import { LONGEST_PATTERN } from '../policy/match.ts'
import { command, type Command } from './command.ts'
import { ANSWER, inProgram, JSON_ANSWER } from './in-program.ts'
import type { Option } from './options.ts'

export const SUBJECT_COMMANDS: readonly Command[] = [
  command({
    name: 'subject find',
    summary: 'what the tables and the archive hold of a person, and when it goes by itself',
    options: { users: person(), ...JSON_ANSWER },
    contradictions: ({ users }) => (users.length === 1 ? [] : ['subject find needs one --user, the person as the gateway names it']),
    run: (start, { users, json }) =>
      inProgram(start, { ...ANSWER, access: 'read' }, async (program) =>
        (await import('../commands/subject/subject-find.ts')).findSubject(program, { user: users[0]!, json }),
      ),
  }),
]

/** Never repeated in a message: the log may have it. */
function person(): Option<readonly string[]> {
  return {
    name: 'user',
    form: 'repeatable',
    placeholder: 'NAME',
    summary: 'exactly as it is stored, capitals included',
    problemOf(given) {
      if (given === '') return '--user is empty'
      if (given.length > LONGEST_PATTERN) return `--user has ${given.length} characters, and ${LONGEST_PATTERN} are the most`
      // Node puts this character in place of bytes that are no UTF-8: what was meant is lost.
      return given.includes('\0') || given.includes('\u{FFFD}') || !given.isWellFormed()
        ? '--user has a character that is not UTF-8, so nothing can be compared with it'
        : undefined
    },
    valueOf: (texts) => texts,
  }
}
