/** Where an archive lies, from the text of `ARCHIVE_DIRECTORY`; everything that asks whether it is a folder asks here. */
export type ArchiveLocation = { readonly kind: 'folder'; readonly path: string } | BucketLocation

export interface BucketLocation {
  readonly kind: 's3'
  readonly bucket: string
  /** Without a slash at either end; empty: the archive is all that the bucket holds. */
  readonly prefix: string
}

/** How long requests may take. */
export interface Patience {
  readonly connectMs: number
  /** Without a byte from the server. */
  readonly idleMs: number
  /** Of a request without a body; one with a body has a second for each `BYTES_A_SECOND` more. */
  readonly requestMs: number
  /** Pauses between attempts; there is one attempt more. */
  readonly pausesMs: readonly number[]
}

/** A bucket, with what is needed to reach it. */
export interface BucketPlace extends BucketLocation {
  /** `undefined`: that of the region. */
  readonly endpoint: string | undefined
  /** `undefined`: as the environment or the shared configuration file of the AWS SDKs says. */
  readonly region: string | undefined
  /** Whether the bucket's name is part of the path; `undefined`: where an endpoint is given. */
  readonly pathStyle: boolean | undefined
  /** Whether rows and credentials may be sent over a network in clear text. */
  readonly insecure: boolean
  /** The folder in which files are written before they are sent: absolute. */
  readonly spool: string
  /** Whether somebody chose it. */
  readonly spoolChosen: boolean
  /** Absent: as suits a run, which may wait. */
  readonly patience?: Patience
}

/** Where an archive lies, for whoever opens it. */
export interface ArchivePlace {
  /** Of a folder, its absolute path; of a bucket, `s3://bucket/path`, for people alone. */
  readonly directory: string
  /** `undefined`: it lies in the folder. */
  readonly bucket?: BucketPlace | undefined
  /** The uid of this process. */
  readonly uid: number | undefined
}

const S3 = 's3://'
/** A scheme and its colon, before the first slash. A folder of such a name can be written with `./` before it. */
const SCHEME = /^[a-z][a-z0-9+.-]*:/i
const BUCKET = /^[a-z0-9](?:[a-z0-9.-]{1,61}[a-z0-9])$/
/** A key has 1024 bytes at most, and the path of a file 200 at most. */
const MOST_PREFIX_BYTES = 512

/** What is wrong with the text, without repeating it: it may hold a secret. `undefined`: it names a place. */
export function locationProblem(text: string): string | undefined {
  if (!SCHEME.test(text)) return undefined
  if (!text.startsWith(S3)) return SCHEME_REFUSED
  const { bucket, prefix } = parts(text)
  if (!BUCKET.test(bucket) || bucket.includes('..'))
    return `what follows ${S3} is not the name of a bucket: 3 to 63 lower-case letters, digits, dots and hyphens; write ${EXAMPLE}`
  if (prefix === '') return undefined
  if (/[?#%\\\p{Cc}]/u.test(prefix) || !prefix.isWellFormed())
    return `the path in the bucket holds a ?, #, % or backslash, or a character that is none; write it as it stands in the keys, such as ${EXAMPLE}`
  if (prefix.split('/').some((name) => name === '' || name === '.' || name === '..'))
    return `the path in the bucket has an empty name, . or .. between two slashes; write ${EXAMPLE}`
  if (Buffer.byteLength(prefix) > MOST_PREFIX_BYTES) return `the path in the bucket has more than ${MOST_PREFIX_BYTES} bytes`
  return undefined
}

const EXAMPLE = 's3://bucket/path'
const SCHEME_REFUSED =
  `it begins like a URL, and the archive lies in a folder or in a bucket: write the folder's path (./ before it, if its name holds a colon), or ${EXAMPLE} ` +
  'in lower case'

/** Of a text without a problem. */
export function locationOf(text: string): ArchiveLocation {
  return text.startsWith(S3) ? { kind: 's3', ...parts(text) } : { kind: 'folder', path: text }
}

/** As it is shown, and as it is written in the settings. */
export function locationText({ bucket, prefix }: BucketLocation): string {
  return prefix === '' ? `${S3}${bucket}` : `${S3}${bucket}/${prefix}`
}

function parts(text: string): Pick<BucketLocation, 'bucket' | 'prefix'> {
  const [bucket = '', ...path] = text.slice(S3.length).split('/')
  // One slash at the end is how a folder is often written.
  return { bucket, prefix: path.join('/').replace(/\/$/, '') }
}
