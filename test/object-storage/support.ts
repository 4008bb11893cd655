import type { ListObjectsV2CommandInput, S3Client } from '@aws-sdk/client-s3'
import { ListObjectsV2Command } from '@aws-sdk/client-s3'

/** What became of a request: its status, and the code of a refusal. */
export async function fateOf(sent: Promise<{ readonly $metadata: { readonly httpStatusCode?: number | undefined } }>): Promise<string> {
  try {
    return String((await sent).$metadata.httpStatusCode)
  } catch (error) {
    const { name, $metadata } = error as Error & { readonly $metadata?: { readonly httpStatusCode?: number } }
    return `${$metadata?.httpStatusCode ?? 'no answer'} ${name}`
  }
}

/** Every page of a list. */
export async function pagesOf(client: S3Client, wanted: ListObjectsV2CommandInput) {
  const pages = []
  for (let token: string | undefined; ;) {
    const page = await client.send(new ListObjectsV2Command({ ...wanted, ContinuationToken: token }))
    pages.push(page)
    token = page.NextContinuationToken
    if (token === undefined) return pages
  }
}

/** The keys of every page. */
export async function keysOf(client: S3Client, wanted: ListObjectsV2CommandInput): Promise<string[]> {
  const pages = await pagesOf(client, { ...wanted, EncodingType: 'url' })
  return pages.flatMap((page) => page.Contents ?? []).map(({ Key }) => decodeURIComponent(Key!.replaceAll('+', ' ')))
}

/** Letters that URLs, forms, XML and shells have for themselves; a key of S3 is any UTF-8. */
export const ODD_KEYS: readonly string[] = [
  'a b/c+d',
  'a%20b/%2F',
  'quotes\'"`',
  'marks!*();:@&=$,?#[]<>\\^{}|~',
  'käse/ñ/日本/🧀',
  'a//b',
  './../dots/.',
  'new\nline\ttab\u007f',
]

/** Sixteen at a time. */
export async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < items.length; at += 16) await Promise.all(items.slice(at, at + 16).map(work))
}
