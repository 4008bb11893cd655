import { reconcile, type Reconciliation } from '../../archive/reconcile/reconcile.ts'
import type { Reconciled } from '../../archive/reconcile/reconciled-step.ts'
import type { ExitCode } from '../../errors.ts'
import { someClauses } from '../../number-text.ts'
import { jsonDocument, visible } from '../../observe/control-characters.ts'
import type { Program } from '../../program.ts'
import type { HeldLease } from '../../runs/held-lease.ts'
import { receiptBookOf } from '../receipts/receipt-book-of.ts'
import type { OpenedArchive } from './open-archive.ts'
import { archiveOf, underLease } from './under-lease.ts'

/** Adds files that the database does not know to the chain, or sets them aside. Returns 1 if files are still missing. */
export async function reconcileArchive(
  program: Program,
  opened: OpenedArchive,
  { dryRun, json }: { readonly dryRun: boolean; readonly json: boolean },
): Promise<ExitCode> {
  const { host, events, shutdown } = program
  const found = await (dryRun
    ? reconciled(program, opened, undefined)
    : underLease(program, opened, { waitMs: 0 }, (held) => reconciled(program, opened, held)))
  if (shutdown.stopping.aborted) return 1
  if (json) host.write(jsonDocument({ dryRun, ...found, files: found.files.map(documentOf) }))
  else for (const line of linesOf(found, dryRun)) host.print(`${visible(line)}\n`)
  if (found.missing.length > 0)
    events.warning(
      `files of the archive are missing, and archive verify will name them until they are restored: ${someClauses(found.missing)}`,
    )
  return found.missing.length > 0 ? 1 : 0
}

async function reconciled(program: Program, opened: OpenedArchive, held: HeldLease | undefined): Promise<Reconciliation> {
  const book = held === undefined ? undefined : await receiptBookOf(program)
  return reconcile(await archiveOf(program, opened, held), {
    dryRun: held === undefined,
    begun: async (tx, { manifest, sha256, files, rows }) =>
      void (await book?.append(tx, { kind: 'reconciliation', job: opened.job.name, manifest, sha256, files, rows })),
  })
}

function* linesOf({ files, otherLinks, missing, dropsStep }: Reconciliation, dryRun: boolean): Generator<string> {
  if (files.length === 0 && otherLinks === 0 && missing.length === 0 && !dropsStep)
    return yield 'nothing to reconcile: no file is newer than those that the database knows; archive verify names older ones that are not in the chain'
  if (dropsStep) yield 'maintenance_archives.step claims files of the chain: the step is dropped, and the files stay'
  for (const file of files) yield `${file.path}: ${sentenceOf(file)}`
  const count = (becomes: Reconciled['becomes']): number => files.filter((file) => file.becomes === becomes).length
  yield `${dryRun ? 'would be done' : 'done'}: ${count('joined')} files join the chain, ${count('rewritten')} are written again, ${count('set aside')} are set aside${otherLinks === 0 ? '' : `; ${otherLinks} manifests without rows join it too`}`
}

/** `held`: how the document has always called them. */
function documentOf({ path, rows, elsewhere, becomes }: Reconciled) {
  return { path, rows, held: elsewhere, becomes }
}

function sentenceOf({ rows, elsewhere, becomes }: Reconciled): string {
  switch (becomes) {
    case 'joined':
      return `none of its ${rows} rows is in the database: it joins the chain`
    case 'set aside':
      return `all of its ${rows} rows are in the database: it is set aside in reconciled/, and they are archived again when they are purged`
    case 'rewritten':
      return `${elsewhere} of its ${rows} rows are in the database or in an earlier file: the other ${rows - elsewhere} are written to a new file, and this one is set aside in reconciled/`
  }
}
