// SPDX-License-Identifier: GPL-2.0

/* Page table entries: other CPUs and the hardware write to them too. */

__kvmrs_helper u64 kvmrs_spte_xchg(u64 *sptep, u64 spte)
{
	return xchg(sptep, spte);
}

__kvmrs_helper bool kvmrs_spte_try_cmpxchg(u64 *sptep, u64 *old, u64 new)
{
	return try_cmpxchg64(sptep, old, new);
}

__kvmrs_helper u64 kvmrs_spte_fetch_and(u64 *sptep, u64 mask)
{
	return (u64)atomic64_fetch_and(mask, (atomic64_t *)sptep);
}
