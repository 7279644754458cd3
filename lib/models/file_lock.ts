/**
 * Lets one process at a time work on a file. The operating system frees the lock when its holder
 * ends, however it ends, so that there are no stale locks.
 *
 * @module
 */

const POLL_MS = 200;

/**
 * Runs `work` while holding an exclusive lock on the open `file`, and waits for the lock if another
 * has it; the lock ends when the file is closed. Lock files are best left where they are: after a
 * removal two could hold "the" lock.
 */
export async function withFileLock<T>(
  file: Deno.FsFile,
  work: () => Promise<T>,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<T> {
  while (!(await file.tryLock(true))) {
    options.signal?.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return await work();
}
