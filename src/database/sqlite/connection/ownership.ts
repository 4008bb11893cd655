import { readFileSync } from 'node:fs'
import { DatabaseError } from '../../database-error.ts'

/**
 * Beside the database SQLite makes `-wal` and `-shm` files that belong to whoever opens it, and a gateway of another user cannot write to
 * those: it would be locked out of its own database. Root may: SQLite gives what root makes to the database's owner.
 */
export function refuseForeignUser(file: string, owner: number, user: number | undefined): void {
  if (user === undefined || user === 0 || user === owner) return
  throw new DatabaseError(
    'forbidden',
    `${file} belongs to ${named(owner)}, and this runs as ${named(user)}: nothing was opened, because SQLite's -wal and -shm files would then ` +
      `belong to ${named(user)} and lock the gateway out; run as ${named(owner)}: \`user: "${owner}"\` in compose.yaml or Kubernetes' \`runAsUser: ${owner}\`, ` +
      `\`User=${nameOf(owner) ?? owner}\` in the systemd unit`,
  )
}

function named(uid: number): string {
  const name = nameOf(uid)
  return name === undefined ? `uid ${uid}` : `${name} (uid ${uid})`
}

function nameOf(uid: number): string | undefined {
  try {
    const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
    return lines.map((line) => line.split(':')).find((fields) => fields[2] === String(uid))?.[0]
  } catch {
    return undefined
  }
}
