import { isDigest } from '../receipts/digest.ts'
import { command, type Command } from './command.ts'
import { ANSWER, inProgram } from './in-program.ts'
import { moment, operands, quoted, type Option } from './options.ts'

export const RECEIPT_COMMANDS: readonly Command[] = [
  command({
    name: 'receipts export',
    summary: 'what was deleted, when, by which policy: a line a receipt',
    options: { since: moment('since', 'from the first one of that time on') },
    run: (start, request) =>
      inProgram(start, { ...ANSWER, access: 'read' }, async (program) =>
        (await import('../commands/receipts/receipts-export.ts')).exportReceipts(program, request),
      ),
  }),
  command({
    name: 'receipts verify',
    summary: 'whether a receipt was changed or removed: of an export, or of the database',
    options: {
      files: operands('FILE'),
      keys: keyFiles(),
      expect: digests(),
    },
    contradictions: ({ files }) => (files.length > 1 ? ['receipts verify takes one FILE, or none for the database'] : []),
    async run(start, { files: [file], keys, expect }) {
      const commands = await import('../commands/receipts/receipts-verify.ts')
      if (file !== undefined) return commands.verifyFile(start, file, { keys, expect })
      return inProgram(start, { ...ANSWER, access: 'read' }, (program) => commands.verifyDatabase(program, { keys, expect }))
    },
  }),
]

function keyFiles(): Option<readonly string[]> {
  return {
    name: 'key',
    form: 'repeatable',
    placeholder: 'PUB',
    summary: 'a public key; may be repeated, for keys that were changed',
    problemOf: (given) => (given === '' ? '--key needs the name of a file' : undefined),
    valueOf: (texts) => texts,
  }
}

function digests(): Option<readonly string[]> {
  return {
    name: 'expect',
    form: 'repeatable',
    placeholder: 'SHA256',
    summary: 'that this one is among them, from a log; may be repeated',
    problemOf: (given) =>
      isDigest(given)
        ? undefined
        : `--expect is ${quoted(given)}, but needs the sha256 of a receipt, as a log has it: 64 digits and letters from a to f`,
    valueOf: (texts) => texts,
  }
}
