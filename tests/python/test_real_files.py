"""Real files of many tools and ages, against an independent reader."""

import anndata
import numpy as np
import pytest
import scipy.sparse as sp

CASES = [
    ("counts/pbmc3k_raw_csr_f32_gzip.h5ad", []),
    ("counts/pbmc1k_v2_raw_csr_u16_i64idx_gzip.h5ad", []),
    ("formats/anndata_archive_v0.7.0.h5ad", ["--raw"]),
    ("formats/bpcells_mini_anndata_v0.6.22.h5ad", []),
    ("formats/scvi_tabula_muris_h5sparse_csr.h5ad", []),
    ("formats/scvi_pbmc5k_citeseq_200cells_dense_lzf.h5ad", []),
    ("formats/scvelo_dentategyrus_100cells_layers.h5ad", ["--layer", "unspliced"]),
    ("formats/muonjl_pbmc8k_200genes_dense_gzip.h5ad", []),
]


@pytest.mark.parametrize("name, options", CASES)
@pytest.mark.filterwarnings("ignore")
def test_a_real_file_comes_back_value_for_value(partwise, real, name, options):
    back = partwise.export(real(name), *options)
    source = anndata.read_h5ad(real(name))
    if "--raw" in options:
        source = source.raw.to_adata()
    x = source.layers[options[1]] if "--layer" in options else source.X
    want = sp.csr_matrix(x).astype("f4")
    assert (sp.csr_matrix(back.X) != want).nnz == 0
    assert list(back.obs_names) == list(source.obs_names) and list(back.var_names) == list(source.var_names)
    assert [*back.obs.columns] == [*source.obs.columns]
    for column in source.obs.columns:
        assert [*map(str, back.obs[column])] == [*map(str, source.obs[column])], column


def test_real_counts_take_about_a_byte_per_nonzero(partwise, real):
    partwise.json("convert", real("counts/pbmc3k_raw_csr_f32_gzip.h5ad"), "-o", "x.pw")
    assert partwise.json("info", "x.pw")["bytes_per_nonzero"] <= 1.05


@pytest.mark.filterwarnings("ignore")
def test_columns_of_a_real_file_are_in_its_result(partwise, real):
    path = real("counts/pbmc3k_raw_csr_f32_gzip.h5ad")
    _, result = partwise.fit(path, 5, "--max-passes", 4)
    source = anndata.read_h5ad(path)
    assert list(result.file.obs["cell_type"].astype(str)) == list(source.obs["cell_type"].astype(str))
    assert result.relative_error(source.X.astype(np.float64)) < 0.43
