/**
 * Checksums of earlier texts of these files, which were corrected in place before the first release. A database with an earlier text in its history is
 * accepted, and nothing is applied again. It does not need the corrections: they only matter if someone had planted objects that shadow the server's own
 * when its views and its function were created. To be sure, run 001, 002 and 005 by hand, which recreates the views. A released file never changes, so
 * nothing is added here after the release.
 * Keyed by number, for both engines.
 */
export const EARLIER_TEXTS: Readonly<Record<number, readonly string[] | undefined>> = {
  1: [
    '381daf3dd60d4aca13214cb8896814a525752dd5147da085f52e477cb3fa3e52',
    'f319e8f5e3924845e7d31f9cbce5b0aaee8fe149825656338f2dad838bca6906',
  ],
  2: [
    '80f39ee0a226f7f1461b6ac8228a7ecf8b94f308c1434297d12bd766177b644a',
    'c7f9652c7fa279948bbdef5aae3d4b624767dd42869ea2b98fb444af9da86215',
  ],
  3: [
    'dacf85a5e00025a1486082b1aa72054839a9931e935076a90801022e7b20a026',
    '416168593310396599fdf8d7907f2ae73041a4ebe020ba1e983ea07a11b0aa3f',
  ],
  4: [
    'd27e3cbd431b70a52a21ecf0e9def7daa1a879a372fc7047be838ba79d1b0047',
    '9168504223b444fd4ca2514aceb4179a874d04f4144dc37c54d601c94ae39f4b',
  ],
  5: [
    '8d69559b5939d1af025894b4e82eed4fd4c505b9d63e482ff2e87b38095d2ef9',
    '0c647885d9272c4e14637523ddad6df60ad15cbc89eef262d7ada38d9ca39761',
  ],
}
