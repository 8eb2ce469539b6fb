// The package has no types of its own; the test names what it reads of the answer.
declare module "mpd-parser" {
  export function parse(text: string, options: { manifestUri: string }): unknown;
}
