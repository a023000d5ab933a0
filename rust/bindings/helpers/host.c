// SPDX-License-Identifier: GPL-2.0

/* The host's page tables. */

/* Each entry is read once: it can become that of a huge page at any time. */
static __always_inline bool __kvmrs_host_has(struct mm_struct *mm, unsigned long addr, int level,
					     kvm_pfn_t pfn)
{
	pgd_t pgd = READ_ONCE(*pgd_offset(mm, addr));
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;
	pte_t pte;

	if (!pgd_present(pgd))
		return false;
	p4d = READ_ONCE(*p4d_offset(&pgd, addr));
	if (!p4d_present(p4d))
		return false;
	pud = READ_ONCE(*pud_offset(&p4d, addr));
	if (!pud_present(pud))
		return false;
	if (pud_leaf(pud))
		return pud_pfn(pud) + ((addr & ~PUD_MASK) >> PAGE_SHIFT) == pfn;
	if (level >= PG_LEVEL_1G)
		return false;
	pmd = READ_ONCE(*pmd_offset(&pud, addr));
	if (!pmd_present(pmd))
		return false;
	if (pmd_leaf(pmd))
		return pmd_pfn(pmd) + ((addr & ~PMD_MASK) >> PAGE_SHIFT) == pfn;
	if (level >= PG_LEVEL_2M)
		return false;
	pte = ptep_get(pte_offset_kernel(&pmd, addr));
	return pte_present(pte) && pte_pfn(pte) == pfn;
}

/*
 * Whether the host maps pfn at addr, in a page of that level or a larger one.
 * No table is freed while interrupts are off.
 */
__kvmrs_helper bool kvmrs_host_has(struct mm_struct *mm, unsigned long addr, int level,
				   kvm_pfn_t pfn)
{
	unsigned long flags;
	bool has;

	local_irq_save(flags);
	has = __kvmrs_host_has(mm, addr, level, pfn);
	local_irq_restore(flags);
	return has;
}
