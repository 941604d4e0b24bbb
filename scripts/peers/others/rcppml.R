# Runs RcppML::nmf for each limit of iterations that comes over stdin, with TOLERANCE.
#
#   rcppml.R FOLDER CELLS GENES k SEED THREADS TOLERANCE
#
# A dgCMatrix of genes x cells holds the same arrays as a CSR matrix of cells x genes: p, i and x,
# read as raw bytes. The package takes no start and has no callback, so every answer is a whole fit
# from the same seed.
suppressMessages({library(Matrix); library(RcppML)})
a <- commandArgs(trailingOnly = TRUE)
folder <- a[1]; cells <- as.integer(a[2]); genes <- as.integer(a[3]); k <- as.integer(a[4]); seed <- as.integer(a[5])
setRcppMLthreads(as.integer(a[6]))  # 0: all there are
tol <- as.numeric(a[7])
raw <- function(name, what, n, size) readBin(file.path(folder, name), what, n, size = size)
p <- raw("p", "integer", cells + 1L, 4)
x <- new("dgCMatrix", p = p, i = raw("i", "integer", p[cells + 1L], 4), x = raw("x", "numeric", p[cells + 1L], 4),
         Dim = c(genes, cells))
cat("ready\n"); flush(stdout())
questions <- file("stdin", "r")
while (length(line <- readLines(questions, 1)) > 0) {
  took <- system.time(gcFirst = FALSE,
    fit <- nmf(x, k, tol = tol, maxit = as.integer(line), seed = seed, verbose = FALSE))
  writeBin(as.vector(fit$w %*% diag(fit$d, k)), file.path(folder, "spectra"))  # genes x k, by columns
  writeBin(as.vector(fit$h), file.path(folder, "usages"))                      # k x cells, by columns
  status <- readLines("/proc/self/status")
  peak <- gsub("[^0-9]", "", status[startsWith(status, "VmHWM")])
  cat(sprintf("%.6f %s %d\n", took[["elapsed"]], peak, as.integer(fit$iter))); flush(stdout())
}
