"""Opens a result in anndata and prints its contents: `show.py RESULT.h5ad`."""

import sys

import anndata
import numpy as np

result = anndata.read_h5ad(sys.argv[1])
usages, spectra = result.obsm["X_nmf"], result.varm["spectra"]
print(result)
print(f"W: {usages.shape}, H: {spectra.T.shape}, relative error {float(result.uns['nmf']['relative_error']):.4f}")
print("five strongest genes of each component:")
for component in range(spectra.shape[1]):
    top = np.argsort(-spectra[:, component])[:5]
    print(f"  {component:>3}  {' '.join(result.var_names[top])}")
