/** @file What the open folder holds, for every view; and how to look again. */
import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { WorkspaceView } from '../../src/studio/messages.js';

export interface WorkspaceValue {
  readonly workspace: WorkspaceView;
  readonly reload: () => void;
}

export const WorkspaceContext = createContext<WorkspaceValue | undefined>(undefined);

/** The open folder. Only below the shell, which has loaded it. */
export function useWorkspace(): WorkspaceValue {
  const value = useContext(WorkspaceContext);
  if (value === undefined) throw new Error('the workspace is not loaded');
  return value;
}
