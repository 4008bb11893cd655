import { resolve } from 'node:path'
import { parsePath, positionOf } from '../../archive/store/path.ts'
import { ARCHIVES } from '../../archive/tables.ts'
import { JOBS, type Job } from '../../catalogue.ts'
import { boundedText } from '../../database/stored-values.ts'
import { MaintenanceError, messageOf, type ExitCode } from '../../errors.ts'
import { readGiven } from '../../files.ts'
import { counted, someText } from '../../number-text.ts'
import { visibleLines } from '../../observe/control-characters.ts'
import type { Host, Program, Start } from '../../program.ts'
import { ChainCheck } from '../../receipts/receipt-chain.ts'
import { parseEnvelope } from '../../receipts/envelope.ts'
import { isObject, type ReadReceipt } from '../../receipts/receipt.ts'
import { verifierOf, type Verifier } from '../../receipts/signing.ts'
import { RUNS } from '../../runs/run-records.ts'
import { deletedByRuns, runsWithoutReceipt, storedReceipts } from '../../runs/stored-receipts.ts'
import { receiptsText } from '../../terminal/receipts-text.ts'
import { tableOfReceipts } from './table-of-receipts.ts'

export interface VerifyRequest {
  /** Paths of public keys. */
  readonly keys: readonly string[]
  /** Digests that have to be among them. */
  readonly expect: readonly string[]
}

/** Thirty years of receipts are smaller. */
const MOST_FILE_BYTES = 64 * 2 ** 20

/** `receipts verify FILE`: an export, with nothing else at hand. Returns 1 if something is wrong with it. */
export function verifyFile({ host }: Start, path: string, { keys, expect }: VerifyRequest): ExitCode {
  const verifiers = verifiersOf(host, keys)
  const check = new ChainCheck({ keys: verifiers, expect })
  const kinds = new Map<string, number>()
  const lines = textOf(host, path).split('\n')
  if (lines.at(-1) === '') lines.pop()
  for (const [index, line] of lines.entries()) {
    const where = `line ${index + 1}`
    const envelope = parseEnvelope(line)
    if (envelope === undefined) check.addUnreadable(where, 'is no receipt as receipts export writes them')
    else countKind(kinds, check.add(where, envelope))
  }
  return told(host, check, kinds, keys.length, [])
}

/** `receipts verify`: those of the database, and what else it says of the same. */
export async function verifyDatabase(program: Program, { keys, expect }: VerifyRequest): Promise<ExitCode> {
  const { host, database, shutdown } = program
  const check = new ChainCheck({ keys: verifiersOf(host, keys), expect })
  const table = await tableOfReceipts(program)
  const runs = database.named(RUNS)
  const job = JOBS.find(({ receipts }) => receipts === true)!
  const kinds = new Map<string, number>()
  const problems: string[] = []
  let purges: { readonly n: number; readonly run: number; readonly deleted: number }[] = []
  const compare = async (): Promise<void> => {
    if (purges.length === 0) return
    const numbers = purges.map(({ run }) => run)
    const recorded = await deletedByRuns(database, runs, job, Math.min(...numbers), Math.max(...numbers))
    for (const { n, run, deleted } of purges) {
      const there = recorded.get(run)
      if (there !== undefined && there !== deleted)
        problems.push(`receipt ${n}: says that run ${run} deleted ${counted(deleted, 'row')}, and ${RUNS} says ${there}`)
    }
    purges = []
  }
  let newest: ReadReceipt | undefined
  for await (const { n, run, signed, sha256 } of storedReceipts(database, table)) {
    if (shutdown.stopping.aborted) return 1
    const where = `receipt ${n}`
    if (signed === undefined) {
      check.addUnreadable(where, 'is longer than a receipt is')
      continue
    }
    const receipt = check.add('', signed, sha256)
    if (receipt === undefined) continue
    if (receipt.n !== n) problems.push(`${where}: its text says that it is receipt ${receipt.n}`)
    countKind(kinds, receipt)
    if (receipt.kind !== 'purge') continue
    newest = receipt
    const { run: own, rows } = receipt.body
    const deleted = isObject(rows) ? rows['deleted'] : undefined
    if (typeof own !== 'number' || own !== run || typeof deleted !== 'number')
      problems.push(`${where}: does not say which run it is of, or another one`)
    else purges.push({ n, run: own, deleted })
    if (purges.length === MOST_COMPARED) await compare()
  }
  await compare()
  const without = await runsWithoutReceipt(database, table, runs, job)
  if (without.length > 0)
    problems.push(
      `runs without a receipt: ${someText(without.map(String))}; they were allowed to delete, and ran on an older version, or their receipts were removed`,
    )
  problems.push(...(await archiveProblems(program, job, newest)))
  return told(host, check, kinds, keys.length, problems)
}

const MOST_COMPARED = 200

/** The archive's chain only grows: its newest manifest is the one that the newest receipt names, or a later one. */
async function archiveProblems({ database }: Program, { table }: Job, newest: ReadReceipt | undefined): Promise<readonly string[]> {
  const archive = newest?.body['archive']
  const said = isObject(archive) ? parsePath(archive['head'], table) : undefined
  if (newest === undefined || !isObject(archive) || said === undefined) return []
  const { rows } = await database.query<{ head: unknown; sha256: unknown }>(
    `SELECT ${boundedText('head_file')} AS head, ${boundedText('head')} AS sha256 FROM ${database.named(ARCHIVES)} WHERE source = $1`,
    [table],
  )
  const there = parsePath(rows[0]?.head, table)
  const problem = `receipt ${newest.n}: says that the archive's newest manifest is ${said}, and ${ARCHIVES} says`
  if (there === undefined || positionOf(there) < positionOf(said))
    return [`${problem} ${there ?? 'that there is none'}: the database is older than its archive`]
  if (there === said && rows[0]?.sha256 !== archive['sha256']) return [`${problem} that it has another digest: one of the two was changed`]
  return []
}

function countKind(kinds: Map<string, number>, receipt: ReadReceipt | undefined): void {
  if (receipt !== undefined) kinds.set(receipt.kind, (kinds.get(receipt.kind) ?? 0) + 1)
}

function told(host: Host, check: ChainCheck, kinds: ReadonlyMap<string, number>, keys: number, others: readonly string[]): ExitCode {
  const verdict = check.end()
  const problems = [...verdict.problems, ...others]
  host.print(visibleLines(receiptsText({ ...verdict, problems }, kinds, keys)))
  return problems.length === 0 ? 0 : 1
}

function verifiersOf(host: Host, paths: readonly string[]): readonly Verifier[] {
  return paths.map((path) => {
    const verifier = verifierOf(Buffer.from(textOf(host, path)))
    if (verifier !== undefined) return verifier
    throw new MaintenanceError(
      'USAGE',
      `${path} is no public ed25519 key in PEM. Nothing was verified. That of a private key is printed by: openssl pkey -in KEY -pubout`,
    )
  })
}

function textOf(host: Host, path: string): string {
  try {
    return readGiven(resolve(host.workingDirectory, path), MOST_FILE_BYTES).toString()
  } catch (error) {
    throw new MaintenanceError('USAGE', `${path} cannot be read: ${messageOf(error)}. Nothing was verified.`, { cause: error })
  }
}
